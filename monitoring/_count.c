/* Counts a block of numbers into the bins of one column, by the rules monitoring/tally.py states and tests.
 *
 * One pass, without the interpreter lock: the bin of each value, its score, and exact sums of quanta.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define CELLS 64
#define MISSING 64                 /* the code of a missing value */
#define UNSURE 255                 /* a grid cell that holds an edge */
#define FARTHEST 68719476736.0     /* 2^36 quanta: a value farther away is counted as that far */
#define ROUNDING 6755399441055744.0 /* 1.5 * 2^52: adding and taking it away rounds to even */
#define LANES 4                    /* histograms side by side: equal neighbours need not wait for each other */

typedef struct {
    const double *edges;
    Py_ssize_t count;
    const uint8_t *table;  /* empty when the edges are too far apart for a grid */
    Py_ssize_t grid;
    double scale, offset, centre, unit;
    int integral;
} Column;

typedef struct {
    int64_t missing, infinite, fractional, total;
    unsigned __int128 squares;
    double minimum, maximum;
} Found;

/* The number of edges at or below a value. */
static inline unsigned search(const Column *column, double value)
{
    Py_ssize_t low = 0, high = column->count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (column->edges[middle] <= value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (unsigned)low;
}

static inline unsigned bin_of(const Column *column, double value)
{
    if (column->grid == 0) {
        return search(column, value);
    }
    double at = value * column->scale;
    at = at + column->offset;
    Py_ssize_t last = column->grid - 1;
    Py_ssize_t cell = at <= 0.0 ? 0 : at >= (double)last ? last : (Py_ssize_t)at;
    unsigned found = column->table[cell];
    return found == UNSURE ? search(column, value) : found;
}

static void tally(const Column *column, const double *values, Py_ssize_t length, const float *score_of, float *scores,
                  int64_t *cells, Found *found)
{
    uint32_t lanes[LANES][CELLS + 1];
    memset(lanes, 0, sizeof(lanes));
    for (Py_ssize_t i = 0; i < length; i++) {
        double value = values[i];
        unsigned cell;
        if (isnan(value)) {
            cell = MISSING;
            found->missing++;
        } else {
            cell = bin_of(column, value);
            if (isinf(value)) {
                found->infinite++;
            } else {
                found->minimum = value < found->minimum ? value : found->minimum;
                found->maximum = value > found->maximum ? value : found->maximum;
                double quanta = value - column->centre;
                quanta = quanta * column->unit;
                quanta = quanta > FARTHEST ? FARTHEST : quanta < -FARTHEST ? -FARTHEST : quanta;
                quanta = quanta + ROUNDING;
                int64_t whole = (int64_t)(quanta - ROUNDING);
                found->total += whole;
                found->squares += (unsigned __int128)((__int128)whole * whole);
                if (column->integral && value != floor(value)) {
                    found->fractional++;
                }
            }
        }
        lanes[i % LANES][cell]++;
        if (scores != NULL) {
            scores[i] = score_of[cell];
        }
    }
    for (int cell = 0; cell < CELLS; cell++) {
        for (int lane = 0; lane < LANES; lane++) {
            cells[cell] += lanes[lane][cell];
        }
    }
}

static int fits(const Py_buffer *buffer, Py_ssize_t size, Py_ssize_t least, const char *name)
{
    if (buffer->itemsize != size || buffer->len < least * size) {
        PyErr_Format(PyExc_ValueError, "%s holds %zd bytes in items of %zd, expected at least %zd items of %zd bytes",
                     name, buffer->len, buffer->itemsize, least, size);
        return 0;
    }
    return 1;
}

static PyObject *count(PyObject *self, PyObject *arguments)
{
    (void)self;
    Py_buffer values, edges, table, score_of, scores = {0}, cells;
    PyObject *given_scores;
    Column column;
    if (!PyArg_ParseTuple(arguments, "y*y*y*ddddpy*Ow*", &values, &edges, &table, &column.scale, &column.offset,
                          &column.centre, &column.unit, &column.integral, &score_of, &given_scores, &cells)) {
        return NULL;
    }
    PyObject *answer = NULL;
    Py_ssize_t length = values.len / (Py_ssize_t)sizeof(double);
    column.count = edges.len / (Py_ssize_t)sizeof(double);
    int scored = given_scores != Py_None;
    if (scored && PyObject_GetBuffer(given_scores, &scores, PyBUF_CONTIG) != 0) {
        scored = 0;
        goto done;
    }
    if (!fits(&values, 8, length, "values") || !fits(&edges, 8, column.count, "edges") ||
        !fits(&table, 1, 0, "table") || !fits(&score_of, 4, CELLS + 1, "score_of") || !fits(&cells, 8, CELLS, "cells") ||
        (scored && !fits(&scores, 4, length, "scores"))) {
        goto done;
    }
    if (column.count >= CELLS) {
        PyErr_Format(PyExc_ValueError, "%zd edges, expected fewer than %d", column.count, CELLS);
        goto done;
    }
    column.edges = edges.buf;
    column.table = table.buf;
    column.grid = column.scale == 0.0 ? 0 : table.len;
    Found found = {.minimum = INFINITY, .maximum = -INFINITY};
    Py_BEGIN_ALLOW_THREADS
    tally(&column, values.buf, length, score_of.buf, scored ? scores.buf : NULL, cells.buf, &found);
    Py_END_ALLOW_THREADS
    answer = Py_BuildValue("LLLLKKdd", found.missing, found.infinite, found.fractional, found.total,
                           (unsigned long long)(found.squares >> 64), (unsigned long long)found.squares,
                           found.minimum, found.maximum);
done:
    if (scored) {
        PyBuffer_Release(&scores);
    }
    PyBuffer_Release(&cells);
    PyBuffer_Release(&score_of);
    PyBuffer_Release(&table);
    PyBuffer_Release(&edges);
    PyBuffer_Release(&values);
    return answer;
}

static PyMethodDef methods[] = {
    {"count", count, METH_VARARGS,
     "count(values, edges, table, scale, offset, centre, unit, integral, score_of, scores, cells): a block of a column"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "monitoring._count",
    .m_doc = "Blocks of numbers into bins and exact sums.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__count(void)
{
    return PyModule_Create(&module);
}
