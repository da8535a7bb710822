/* Answers of a tree ensemble for the input matrix; what the arrays mean is said in families/fastform/compiled.py.
 *
 * Nothing here waits for a guess at a branch. One row goes through eight trees at once. Eight rows go through one tree at
 * once: through a small one by QuickScorer's way (Lucchese and others, 2015), where each comparison that sends a row right
 * strikes out the leaves it leaves behind, and the first one standing is the row's; through a large one step by step.
 * A row's scores are always added in the order of the trees: answers do not depend on which rows are asked together.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
#define LARGEST 1e30             /* numbers beyond are read as this, as families/encoding.py says */
#define MOST_LEAVES 64           /* of a tree whose leaves fit in one word */
#define BLOCK 64                 /* rows prepared at a time: they and a tree fit in the nearest cache */
#define RELEASE_LOCK_FROM 64     /* rows; for fewer, handing the interpreter lock over costs more than it gives */

typedef struct {
    double threshold;
    uint32_t feature;
    uint32_t left;  /* the right child follows it; a leaf is its own left child */
} Node;

typedef struct {
    double missing;  /* what a missing value is taken for: beyond all thresholds on the side it goes to */
    int64_t table;   /* where this column's lookup table begins, or -1: the number itself */
    int64_t stride;
    int64_t levels;
    int64_t column;
} Feature;

/* A comparison of a small tree, and the leaves that stay when it sends a row right. */
typedef struct {
    double threshold;
    uint64_t feature;
    int64_t staying;
} Split;

/* A small tree's part of the arrays of splits and of their leaves from left to right; no leaves for a large tree. */
typedef struct {
    Py_ssize_t first_split, splits, first_leaf, leaves;
} Small;

#if defined(__GNUC__)
typedef double Doubles __attribute__((vector_size(32)));
typedef int64_t Words __attribute__((vector_size(32)));
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v3", "default")))
#endif
#endif
#ifndef FOR_EACH_PROCESSOR
#define FOR_EACH_PROCESSOR
#endif

enum { NODES, LEAVES, ROOTS, DEPTHS, TARGETS, FEATURES, TABLES, START, ARRAYS };
enum { IDENTITY, LOGISTIC, SOFTMAX, COMPLEMENT };

typedef struct {
    PyObject_HEAD
    Py_buffer held[ARRAYS];
    Py_ssize_t width, features, trees, targets, outputs;
    double divisor;
    int link, single;
    Small *small;
    Split *splits;
    double *small_leaves;
} Forest;

static double prepared(const Forest *self, const Feature *feature, const double *row)
{
    double value = row[feature->column];
    if (feature->table >= 0) {
        const double *table = (const double *)self->held[TABLES].buf + feature->table;
        double top = (double)feature->levels;
        int64_t slot = isnan(value)    ? feature->levels + 2
                       : value < -1.0  ? 0
                       : value > top   ? feature->levels + 1
                                       : (int64_t)(value + 1.0);
        value = table[slot * feature->stride];
    } else {
        value = value > LARGEST ? LARGEST : value < -LARGEST ? -LARGEST : value;
    }
    if (self->single) {
        value = (double)(float)value;
    }
    return isnan(value) ? feature->missing : value;
}

static void scores_of_row(const Forest *self, const double *x, double *scores)
{
    const Node *nodes = self->held[NODES].buf;
    const double *leaves = self->held[LEAVES].buf;
    const uint32_t *roots = self->held[ROOTS].buf, *depths = self->held[DEPTHS].buf, *targets = self->held[TARGETS].buf;
    Py_ssize_t tree = 0;
    for (; tree + LANES <= self->trees; tree += LANES) {
        uint32_t at[LANES], deepest = 0;
        for (int lane = 0; lane < LANES; lane++) {
            at[lane] = roots[tree + lane];
            deepest = depths[tree + lane] > deepest ? depths[tree + lane] : deepest;
        }
        for (uint32_t step = 0; step < deepest; step++) {
            uint32_t moved = 0;
            for (int lane = 0; lane < LANES; lane++) {
                const Node *node = nodes + at[lane];
                uint32_t to = node->left + !(x[node->feature] <= node->threshold);
                moved |= to ^ at[lane];
                at[lane] = to;
            }
            if (!moved) {
                break;
            }
        }
        for (int lane = 0; lane < LANES; lane++) {
            scores[targets[tree + lane]] += leaves[at[lane]];
        }
    }
    for (; tree < self->trees; tree++) {
        uint32_t at = roots[tree];
        while (nodes[at].left != at) {
            at = nodes[at].left + !(x[nodes[at].feature] <= nodes[at].threshold);
        }
        scores[targets[tree]] += leaves[at];
    }
}

/* `x` holds eight rows feature by feature; so do the functions below. */
static void scores_of_large(const Forest *self, Py_ssize_t tree, const double *x, double *scores)
{
    const Node *nodes = self->held[NODES].buf;
    const double *leaves = self->held[LEAVES].buf;
    uint32_t at[LANES], depth = ((const uint32_t *)self->held[DEPTHS].buf)[tree];
    for (int lane = 0; lane < LANES; lane++) {
        at[lane] = ((const uint32_t *)self->held[ROOTS].buf)[tree];
    }
    for (uint32_t step = 0; step < depth; step++) {
        uint32_t moved = 0;
        for (int lane = 0; lane < LANES; lane++) {
            const Node *node = nodes + at[lane];
            uint32_t to = node->left + !(x[node->feature * LANES + lane] <= node->threshold);
            moved |= to ^ at[lane];
            at[lane] = to;
        }
        if (!moved) {
            break;
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        scores[lane * self->targets] += leaves[at[lane]];
    }
}

FOR_EACH_PROCESSOR
static void scores_of_small(const Small *tree, const Split *splits, const double *leaves, Py_ssize_t targets,
                            const double *x, double *scores)
{
    const Split *split = splits + tree->first_split, *end = split + tree->splits;
    int64_t standing[LANES];
#if defined(__GNUC__)
    Words low = {-1, -1, -1, -1}, high = low;
    for (; split < end; split++) {
        Doubles threshold = {split->threshold, split->threshold, split->threshold, split->threshold};
        Words staying = {split->staying, split->staying, split->staying, split->staying};
        Doubles first, second;
        memcpy(&first, x + split->feature * LANES, sizeof first);
        memcpy(&second, x + split->feature * LANES + LANES / 2, sizeof second);
        low &= (first <= threshold) | staying;
        high &= (second <= threshold) | staying;
    }
    memcpy(standing, &low, sizeof low);
    memcpy(standing + LANES / 2, &high, sizeof high);
#else
    for (int lane = 0; lane < LANES; lane++) {
        standing[lane] = -1;
    }
    for (; split < end; split++) {
        for (int lane = 0; lane < LANES; lane++) {
            standing[lane] &= -(int64_t)(x[split->feature * LANES + lane] <= split->threshold) | split->staying;
        }
    }
#endif
    for (int lane = 0; lane < LANES; lane++) {
        scores[lane * targets] += leaves[tree->first_leaf + __builtin_ctzll((uint64_t)standing[lane])];
    }
}

static void answer_of(const Forest *self, const double *scores, double *answer)
{
    const double *start = self->held[START].buf;
    double largest = -INFINITY, sum = 0.0;
    for (Py_ssize_t target = 0; target < self->targets; target++) {
        double score = scores[target] / self->divisor + start[target];
        answer[target] = score;
        largest = score > largest ? score : largest;
    }
    if (self->link == LOGISTIC) {
        double score = answer[0], small = exp(-fabs(score));
        answer[1] = (score >= 0 ? 1.0 : small) / (1.0 + small);
        answer[0] = 1.0 - answer[1];
    } else if (self->link == COMPLEMENT) {
        answer[1] = answer[0];
        answer[0] = 1.0 - answer[1];
    } else if (self->link == SOFTMAX) {
        for (Py_ssize_t target = 0; target < self->targets; target++) {
            sum += answer[target] = exp(answer[target] - largest);
        }
        for (Py_ssize_t target = 0; target < self->targets; target++) {
            answer[target] /= sum;
        }
    }
}

/* `room` has space for a block of prepared rows and their scores. */
static void predict(const Forest *self, const double *rows, Py_ssize_t count, double *answers, double *room)
{
    const Feature *features = self->held[FEATURES].buf;
    const uint32_t *targets = self->held[TARGETS].buf;
    double *x = room, *scores = room + BLOCK * self->features;
    for (Py_ssize_t first = 0; first < count; first += BLOCK) {
        const Py_ssize_t some = count - first < BLOCK ? count - first : BLOCK, together = some - some % LANES;
        for (Py_ssize_t i = 0; i < some; i++) {
            const double *row = rows + (first + i) * self->width;
            double *to = i < together ? x + (i - i % LANES) * self->features + i % LANES : x + i * self->features;
            for (Py_ssize_t j = 0; j < self->features; j++, to += i < together ? LANES : 1) {
                *to = prepared(self, features + j, row);
            }
        }
        memset(scores, 0, (size_t)(some * self->targets) * sizeof(double));
        for (Py_ssize_t tree = 0; together && tree < self->trees; tree++) {
            const Small *small = self->small + tree;
            double *score = scores + targets[tree];
            for (Py_ssize_t i = 0; i < together; i += LANES, score += LANES * self->targets) {
                if (small->leaves) {
                    scores_of_small(small, self->splits, self->small_leaves, self->targets, x + i * self->features, score);
                } else {
                    scores_of_large(self, tree, x + i * self->features, score);
                }
            }
        }
        for (Py_ssize_t i = together; i < some; i++) {
            scores_of_row(self, x + i * self->features, scores + i * self->targets);
        }
        for (Py_ssize_t i = 0; i < some; i++) {
            answer_of(self, scores + i * self->targets, answers + (first + i) * self->outputs);
        }
    }
}

static PyObject *forest_predict(Forest *self, PyObject *const *arguments, Py_ssize_t given)
{
    Py_buffer rows = {0}, answers = {0};
    PyObject *done = NULL;
    if (given != 2) {
        return PyErr_Format(PyExc_TypeError, "predict takes rows and answers, got %zd arguments", given);
    }
    if (PyObject_GetBuffer(arguments[0], &rows, PyBUF_C_CONTIGUOUS) != 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(arguments[1], &answers, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) != 0) {
        PyBuffer_Release(&rows);
        return NULL;
    }
    Py_ssize_t count = rows.len / (self->width * (Py_ssize_t)sizeof(double));
    double few[2048], *room = few;
    size_t needed = (size_t)(BLOCK * (self->features + self->targets)) * sizeof(double);
    if (rows.len != count * self->width * (Py_ssize_t)sizeof(double) ||
        answers.len != count * self->outputs * (Py_ssize_t)sizeof(double)) {
        PyErr_Format(PyExc_ValueError, "expected rows of %zd float64 and answers of %zd", self->width, self->outputs);
    } else if (needed > sizeof few && (room = PyMem_Malloc(needed)) == NULL) {
        PyErr_NoMemory();
    } else {
        if (count < RELEASE_LOCK_FROM) {
            predict(self, rows.buf, count, answers.buf, room);
        } else {
            Py_BEGIN_ALLOW_THREADS
            predict(self, rows.buf, count, answers.buf, room);
            Py_END_ALLOW_THREADS
        }
        done = Py_NewRef(Py_None);
    }
    if (room != few) {
        PyMem_Free(room);
    }
    PyBuffer_Release(&rows);
    PyBuffer_Release(&answers);
    return done;
}

/* One row needs no matrix made for it: a list of its answers. */
static PyObject *forest_answer_row(Forest *self, PyObject *given)
{
    Py_buffer row = {0};
    PyObject *list = NULL;
    double few[512], *room = few;
    const Py_ssize_t needed = self->features + self->targets + self->outputs;
    if (PyObject_GetBuffer(given, &row, PyBUF_C_CONTIGUOUS) != 0) {
        return NULL;
    }
    if (row.len < self->width * (Py_ssize_t)sizeof(double)) {
        PyErr_Format(PyExc_ValueError, "expected a row of %zd float64", self->width);
    } else if (needed > 512 && (room = PyMem_New(double, needed)) == NULL) {
        PyErr_NoMemory();
    } else if ((list = PyList_New(self->outputs)) != NULL) {
        const Feature *features = self->held[FEATURES].buf;
        double *scores = room + self->features, *answers = scores + self->targets;
        for (Py_ssize_t j = 0; j < self->features; j++) {
            room[j] = prepared(self, features + j, row.buf);
        }
        memset(scores, 0, (size_t)self->targets * sizeof(double));
        scores_of_row(self, room, scores);
        answer_of(self, scores, answers);
        for (Py_ssize_t i = 0; list != NULL && i < self->outputs; i++) {
            PyObject *answer = PyFloat_FromDouble(answers[i]);
            if (answer == NULL) {
                Py_CLEAR(list);
            } else {
                PyList_SET_ITEM(list, i, answer);
            }
        }
    }
    if (room != few) {
        PyMem_Free(room);
    }
    PyBuffer_Release(&row);
    return list;
}

static void forest_dealloc(Forest *self)
{
    PyMem_Free(self->small);
    PyMem_Free(self->splits);
    PyMem_Free(self->small_leaves);
    for (int array = 0; array < ARRAYS; array++) {
        if (self->held[array].obj != NULL) {
            PyBuffer_Release(&self->held[array]);
        }
    }
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Whether no index of the arrays leads outside them, so that damaged ones end in an error and not in a crash. */
static int is_sound(const Forest *self)
{
    const Node *nodes = self->held[NODES].buf;
    const Feature *features = self->held[FEATURES].buf;
    const uint32_t *roots = self->held[ROOTS].buf, *targets = self->held[TARGETS].buf;
    Py_ssize_t count = self->held[NODES].len / (Py_ssize_t)sizeof(Node);
    Py_ssize_t cells = self->held[TABLES].len / (Py_ssize_t)sizeof(double);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (nodes[i].feature >= (uint64_t)self->features || nodes[i].left >= (uint64_t)count ||
            (nodes[i].left != i && (nodes[i].left <= i || nodes[i].left + 1 >= count))) {
            return 0;
        }
    }
    for (Py_ssize_t i = 0; i < self->trees; i++) {
        if (roots[i] >= (uint64_t)count || targets[i] >= (uint64_t)self->targets) {
            return 0;
        }
    }
    for (Py_ssize_t i = 0; i < self->features; i++) {
        const Feature *each = features + i;
        int looked_up = each->table >= 0;
        if (each->column < 0 || each->column >= self->width || each->table < -1 || each->table >= cells + !cells ||
            (looked_up && (each->levels < 0 || each->stride < 1 || each->levels > cells || each->stride > cells ||
                           each->table + (each->levels + 2) * each->stride >= cells))) {
            return 0;
        }
    }
    Py_ssize_t wanted = self->link == LOGISTIC || self->link == COMPLEMENT ? 2 : self->targets;
    return self->outputs == wanted && (wanted == self->targets || self->targets == 1) && self->features > 0 &&
           self->width > 0 && self->link >= IDENTITY && self->link <= COMPLEMENT &&
           self->held[LEAVES].len == count * (Py_ssize_t)sizeof(double) &&
           self->held[DEPTHS].len == self->held[ROOTS].len && self->held[TARGETS].len == self->held[ROOTS].len &&
           self->held[START].len == self->targets * (Py_ssize_t)sizeof(double);
}

static Py_ssize_t leaves_below(const Node *nodes, uint32_t at, Py_ssize_t most)
{
    if (nodes[at].left == at || most < 1) {
        return 1;
    }
    Py_ssize_t left = leaves_below(nodes, nodes[at].left, most - 1);
    return left > most ? left : left + leaves_below(nodes, nodes[at].left + 1, most - left);
}

/* Write down a small tree below a node; answers how many leaves there were. */
static Py_ssize_t write_small(Forest *self, Small *tree, uint32_t at)
{
    const Node *node = (const Node *)self->held[NODES].buf + at;
    if (node->left == at) {
        self->small_leaves[tree->first_leaf + tree->leaves++] = ((const double *)self->held[LEAVES].buf)[at];
        return 1;
    }
    Py_ssize_t before = tree->leaves, place = tree->first_split + tree->splits++;
    Py_ssize_t left = write_small(self, tree, node->left);
    uint64_t struck = left < MOST_LEAVES ? (((uint64_t)1 << left) - 1) << before : ~(uint64_t)0;
    self->splits[place] = (Split){node->threshold, node->feature, (int64_t)~struck};
    return left + write_small(self, tree, node->left + 1);
}

static int find_small_trees(Forest *self)
{
    const Node *nodes = self->held[NODES].buf;
    const uint32_t *roots = self->held[ROOTS].buf;
    size_t count = (size_t)(self->held[NODES].len / (Py_ssize_t)sizeof(Node)) + 1;
    Py_ssize_t splits = 0, leaves = 0;
    self->small = PyMem_Calloc((size_t)self->trees + 1, sizeof(Small));
    self->splits = PyMem_Calloc(count, sizeof(Split));
    self->small_leaves = PyMem_Calloc(count, sizeof(double));
    if (self->small == NULL || self->splits == NULL || self->small_leaves == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < self->trees; i++) {
        Small *tree = self->small + i;
        tree->first_split = splits;
        tree->first_leaf = leaves;
        Py_ssize_t below = leaves_below(nodes, roots[i], MOST_LEAVES);
        if (below <= MOST_LEAVES && (size_t)(leaves + below) <= count && (size_t)(splits + below) <= count) {
            write_small(self, tree, roots[i]);
            splits += tree->splits;
            leaves += tree->leaves;
        }
    }
    return 0;
}

static PyObject *forest_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *given[ARRAYS];
    Py_ssize_t width, targets, outputs;
    double divisor;
    int link, single;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Forest takes its arguments by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "OOOOOOOOnnndip", &given[NODES], &given[LEAVES], &given[ROOTS], &given[DEPTHS],
                          &given[TARGETS], &given[FEATURES], &given[TABLES], &given[START], &width, &targets, &outputs,
                          &divisor, &link, &single)) {
        return NULL;
    }
    Forest *self = (Forest *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    for (int array = 0; array < ARRAYS; array++) {
        if (PyObject_GetBuffer(given[array], &self->held[array], PyBUF_C_CONTIGUOUS) != 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    self->width = width;
    self->targets = targets;
    self->outputs = outputs;
    self->divisor = divisor;
    self->link = link;
    self->single = single;
    self->features = self->held[FEATURES].len / (Py_ssize_t)sizeof(Feature);
    self->trees = self->held[ROOTS].len / (Py_ssize_t)sizeof(uint32_t);
    if (!is_sound(self)) {
        PyErr_SetString(PyExc_ValueError, "the arrays of the trees do not fit each other");
        Py_DECREF(self);
        return NULL;
    }
    if (find_small_trees(self) != 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyMethodDef forest_methods[] = {
    {"predict", (PyCFunction)(void (*)(void))forest_predict, METH_FASTCALL,
     "predict(rows, answers): fills answers, both contiguous float64"},
    {"answer_row", (PyCFunction)forest_answer_row, METH_O,
     "answer_row(row): the list of answers for the float64 row that the buffer begins with"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot forest_slots[] = {
    {Py_tp_new, forest_new},
    {Py_tp_dealloc, forest_dealloc},
    {Py_tp_methods, forest_methods},
    {Py_tp_doc, "A tree ensemble, ready to answer"},
    {0, NULL},
};

static PyType_Spec forest_spec = {
    .name = "families._trees.Forest",
    .basicsize = sizeof(Forest),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = forest_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "families._trees",
    .m_doc = "Tree ensembles over a matrix of doubles.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__trees(void)
{
    PyObject *self = PyModule_Create(&module), *type = PyType_FromSpec(&forest_spec);
    if (self == NULL || type == NULL || PyModule_AddObjectRef(self, "Forest", type) != 0) {
        Py_XDECREF(self);
        Py_XDECREF(type);
        return NULL;
    }
    Py_DECREF(type);
    return self;
}
