/* Reads CSV text into one row-major matrix of doubles, by the rules inference/csv_reader.py states and tests.
 *
 * It touches no Python object while it reads, so large bodies are read without the interpreter lock.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_NUMBER 1024      /* a longer cell is no number */
#define SHOWN 200                /* bytes of a wrong cell that an error repeats */
#define RELEASE_LOCK_FROM 16384  /* below this many bytes, handing the lock over costs more than it gives */

static locale_t c_locale;

/* The text of each level, found by an open-addressing table: level index + 1 per slot, 0 for an empty one. */
typedef struct {
    char **texts;
    Py_ssize_t *lengths;
    Py_ssize_t count;
    uint32_t *slots;
    uint32_t mask;
} Levels;

typedef struct {
    PyObject_HEAD
    char *kinds;
    Levels *levels;
    Py_ssize_t width;
} Reader;

typedef struct {
    const char *code;  /* NULL while all is well */
    Py_ssize_t row;
    Py_ssize_t column;
    Py_ssize_t length;
    char cell[SHOWN];  /* the first bytes of the cell at fault */
} Fault;

static uint32_t hash_of(const char *text, Py_ssize_t length)
{
    uint32_t hash = 2166136261u;
    for (Py_ssize_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return hash ^ (hash >> 15);
}

static double level_of(const Levels *levels, const char *text, Py_ssize_t length)
{
    for (uint32_t at = hash_of(text, length) & levels->mask;; at = (at + 1) & levels->mask) {
        uint32_t found = levels->slots[at];
        if (found == 0) {
            return -1.0;
        }
        if (levels->lengths[found - 1] == length && memcmp(levels->texts[found - 1], text, (size_t)length) == 0) {
            return (double)(found - 1);
        }
    }
}

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

#if LDBL_MANT_DIG == 64
static const long double LONG_TENS[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
                                        1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
                                        1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};

/* digits * 10^tens in 64 bits of mantissa; true when rounding that to 53 bits is surely the correct rounding. */
static int rounds_surely(uint64_t digits, int tens, double *value)
{
    if (digits == 0 || tens < -27 || tens > 27) {
        return 0;
    }
    long double wide = tens < 0 ? (long double)digits / LONG_TENS[-tens] : (long double)digits * LONG_TENS[tens];
    uint64_t mantissa;
    memcpy(&mantissa, &wide, sizeof mantissa);
    unsigned dropped = (unsigned)(mantissa & 0x7ff);
    if (dropped >= 0x3fe && dropped <= 0x402) {
        return 0;  /* beside the middle between two doubles: one more digit could decide */
    }
    *value = (double)wide;
    return 1;
}
#endif

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 1 for a finite number, 0 for text that is no number, -1 for one too large to hold. */
static int number_of(const char *text, Py_ssize_t length, double *value)
{
    const char *at = text, *end = text + length;
    int negative = 0, kept = 0, tens = 0, any = 0, exact = 1;
    uint64_t digits = 0;
    if (at < end && (*at == '-' || *at == '+')) {
        negative = *at++ == '-';
    }
    for (; at < end && is_digit(*at); at++, any = 1) {
        if (kept < 19) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            kept += digits != 0;
        } else {
            exact = 0;
        }
    }
    if (at < end && *at == '.') {
        for (at++; at < end && is_digit(*at); at++, any = 1) {
            if (kept < 19) {
                digits = digits * 10 + (uint64_t)(*at - '0');
                kept += digits != 0;
                tens--;
            } else {
                exact = 0;
            }
        }
    }
    if (!any) {
        return 0;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        int down = 0, exponent = 0;
        at++;
        if (at < end && (*at == '-' || *at == '+')) {
            down = *at++ == '-';
        }
        if (at == end || !is_digit(*at)) {
            return 0;
        }
        for (; at < end && is_digit(*at); at++) {
            exponent = exponent < 100000 ? exponent * 10 + (*at - '0') : exponent;
        }
        tens += down ? -exponent : exponent;
    }
    if (at != end) {
        return 0;
    }
    if (exact && digits <= ((uint64_t)1 << 53) && tens >= -22 && tens <= 22) {
        double plain = tens < 0 ? (double)digits / TENS[-tens] : (double)digits * TENS[tens];
        *value = negative ? -plain : plain;
        return 1;
    }
#if LDBL_MANT_DIG == 64
    double rounded;
    if (exact && rounds_surely(digits, tens, &rounded)) {
        *value = negative ? -rounded : rounded;
        return 1;
    }
#endif
    char copy[LONGEST_NUMBER + 1];
    memcpy(copy, text, (size_t)length);
    copy[length] = '\0';
    *value = strtod_l(copy, NULL, c_locale);
    return isfinite(*value) ? 1 : -1;
}

/* The number of a cell that is plain - a sign, up to 18 digits, a point - read in one pass to the comma, line feed or
 * body end behind it, which is returned; NULL for any other cell, which the slower way reads. */
static const char *plain_number(const char *at, const char *end, double *value)
{
    int negative = at < end && *at == '-';
    at += negative;
    const char *first = at;
    uint64_t digits = 0;
    while (at < end && is_digit(*at)) {
        digits = digits * 10 + (uint64_t)(*at++ - '0');
    }
    Py_ssize_t count = at - first;
    int tens = 0;
    if (at < end && *at == '.') {
        first = ++at;
        while (at < end && is_digit(*at)) {
            digits = digits * 10 + (uint64_t)(*at++ - '0');
        }
        count += at - first;
        tens = count <= 18 ? (int)(first - at) : 0;
    }
    if (count == 0 || count > 18 || (at < end && *at != ',' && *at != '\n')) {
        return NULL;
    }
    double plain;
    if (digits <= ((uint64_t)1 << 53)) {
        plain = tens == 0 ? (double)digits : (double)digits / TENS[-tens];
    } else {
#if LDBL_MANT_DIG == 64
        if (!rounds_surely(digits, tens, &plain)) {
            return NULL;
        }
#else
        return NULL;
#endif
    }
    *value = negative ? -plain : plain;
    return at;
}

static int is_word(const char *text, Py_ssize_t length, const char *word)
{
    if ((Py_ssize_t)strlen(word) != length) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i]) {
            return 0;
        }
    }
    return 1;
}

static int is_missing(const char *text, Py_ssize_t length)
{
    return length == 0 || is_word(text, length, "nan") || is_word(text, length, "na") || is_word(text, length, "n/a") ||
           is_word(text, length, "null") || is_word(text, length, "none");
}

/* The value of one cell, or the code of what is wrong with it. */
static const char *value_of(char kind, const Levels *levels, const char *text, Py_ssize_t length, double *value)
{
    if (kind == 'c') {
        *value = length == 0 ? NAN : level_of(levels, text, length);
        return NULL;
    }
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t')) {
        length--;
    }
    const char *wrong = kind == 'n' ? "number" : kind == 'i' ? "integer" : "boolean";
    int outcome = length > LONGEST_NUMBER ? 0 : number_of(text, length, value);
    if (outcome == 1) {
        if (kind == 'i' && *value != floor(*value)) {
            return wrong;
        }
        return kind == 'b' && *value != 0.0 && *value != 1.0 ? wrong : NULL;
    }
    if (outcome == -1) {
        return "huge";
    }
    if (is_missing(text, length)) {
        *value = NAN;
        return NULL;
    }
    if (kind == 'b' && (is_word(text, length, "true") || is_word(text, length, "false"))) {
        *value = length == 4;
        return NULL;
    }
    return wrong;
}

static void tell(Fault *fault, const char *code, Py_ssize_t row, Py_ssize_t column, const char *cell, Py_ssize_t length)
{
    fault->code = code;
    fault->row = row;
    fault->column = column;
    fault->length = length < SHOWN ? length : SHOWN;
    memcpy(fault->cell, cell, (size_t)fault->length);
}

/* Reads all rows into `out`; returns how many there were. `spare` has room for the longest quoted cell.
 * A row with a wrong cell and a wrong number of cells is told as the latter: its cells have shifted. */
static Py_ssize_t read_rows(const Reader *self, const Py_ssize_t *order, const char *at, const char *end, double *out,
                            char *spare, Fault *fault)
{
    Py_ssize_t rows = 0;
    while (at < end) {
        if (*at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n')) {
            at += *at == '\n' ? 1 : 2;
            continue;
        }
        double *row = out + rows * self->width;
        Py_ssize_t cells = 0;
        for (;;) {
            const char *cell = at, *after = NULL;
            Py_ssize_t length;
            if (cells < self->width && fault->code == NULL) {
                double *value = &row[order[cells]];
                char kind = self->kinds[order[cells]];
                if ((kind == 'n' || kind == 'i') && (after = plain_number(at, end, value)) != NULL &&
                    (kind == 'n' || *value == floor(*value))) {
                    at = after;
                    cells++;
                    if (at == end || *at == '\n') {
                        break;
                    }
                    at++;
                    continue;
                }
            }
            if (at < end && *at == '"') {
                char *to = spare;
                for (at++;; at++) {
                    if (at == end) {
                        tell(fault, "quote", rows, cells, cell, end - cell);
                        return rows;
                    }
                    if (*at == '"') {
                        if (at + 1 == end || at[1] != '"') {
                            break;
                        }
                        at++;
                    }
                    *to++ = *at;
                }
                at++;
                if (at + 1 < end && *at == '\r' && at[1] == '\n') {
                    at++;
                } else if (at + 1 == end && *at == '\r') {
                    at++;
                }
                if (at < end && *at != ',' && *at != '\n') {
                    tell(fault, "quote", rows, cells, cell, at - cell);
                    return rows;
                }
                cell = spare;
                length = to - spare;
            } else {
                while (at < end && *at != ',' && *at != '\n') {
                    at++;
                }
                length = at - cell;
                if (length > 0 && (at == end || *at == '\n') && at[-1] == '\r') {
                    length--;
                }
            }
            if (cells < self->width && fault->code == NULL) {
                Py_ssize_t column = order[cells];
                const char *wrong =
                    value_of(self->kinds[column], &self->levels[column], cell, length, &row[column]);
                if (wrong != NULL) {
                    tell(fault, wrong, rows, column, cell, length);
                }
            }
            cells++;
            if (at == end || *at == '\n') {
                break;
            }
            at++;
        }
        if (cells != self->width) {
            tell(fault, "ragged", rows, cells, "", 0);
        }
        if (fault->code != NULL) {
            return rows;
        }
        at += at < end;
        rows++;
    }
    return rows;
}

static PyObject *CellError;

static PyObject *raise_fault(const Fault *fault)
{
    PyObject *arguments =
        Py_BuildValue("(snny#)", fault->code, fault->row, fault->column, fault->cell, fault->length);
    if (arguments != NULL) {
        PyErr_SetObject(CellError, arguments);
        Py_DECREF(arguments);
    }
    return NULL;
}

static PyObject *reader_read(Reader *self, PyObject *const *arguments, Py_ssize_t given)
{
    if (given != 3) {
        return PyErr_Format(PyExc_TypeError, "read takes body, start and order, got %zd arguments", given);
    }
    Py_ssize_t start = PyLong_AsSsize_t(arguments[1]);
    if (start == -1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_ssize_t own_order[64], *order = own_order;
    if (self->width > 64 && (order = PyMem_New(Py_ssize_t, self->width)) == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *answer = NULL, *values = NULL;
    char *spare = NULL;
    Py_buffer body = {0};
    for (Py_ssize_t i = 0; i < self->width; i++) {
        order[i] = i;
    }
    if (arguments[2] != Py_None) {
        if (!PyTuple_Check(arguments[2]) || PyTuple_GET_SIZE(arguments[2]) != self->width) {
            PyErr_Format(PyExc_ValueError, "order must be a tuple of %zd column indexes", self->width);
            goto done;
        }
        for (Py_ssize_t i = 0; i < self->width; i++) {
            order[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(arguments[2], i));
            if (order[i] < 0 || order[i] >= self->width) {
                if (!PyErr_Occurred()) {
                    PyErr_Format(PyExc_ValueError, "order names column %zd of %zd", order[i], self->width);
                }
                goto done;
            }
        }
    }
    if (PyObject_GetBuffer(arguments[0], &body, PyBUF_SIMPLE) != 0) {
        goto done;
    }
    if (start < 0 || start > body.len) {
        PyErr_Format(PyExc_ValueError, "start is %zd in a body of %zd bytes", start, body.len);
        goto done;
    }
    const char *from = (const char *)body.buf + start, *end = (const char *)body.buf + body.len;
    Py_ssize_t most = 1;
    for (const char *at = from; at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
        most++;
    }
    Py_ssize_t fitting = (end - from) / self->width + 1;  /* a row takes at least one byte per column */
    most = most < fitting ? most : fitting;
    values = PyByteArray_FromStringAndSize(NULL, most * self->width * (Py_ssize_t)sizeof(double));
    if (values == NULL) {
        goto done;
    }
    if (memchr(from, '"', (size_t)(end - from)) != NULL && (spare = PyMem_Malloc((size_t)(end - from))) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    double *out = (double *)PyByteArray_AS_STRING(values);
    Fault fault;
    fault.code = NULL;
    Py_ssize_t rows;
    if (end - from < RELEASE_LOCK_FROM) {
        rows = read_rows(self, order, from, end, out, spare, &fault);
    } else {
        Py_BEGIN_ALLOW_THREADS
        rows = read_rows(self, order, from, end, out, spare, &fault);
        Py_END_ALLOW_THREADS
    }
    if (fault.code != NULL) {
        raise_fault(&fault);
        goto done;
    }
    answer = Py_BuildValue("(On)", values, rows);
done:
    if (body.obj != NULL) {
        PyBuffer_Release(&body);
    }
    Py_XDECREF(values);
    PyMem_Free(spare);
    if (order != own_order) {
        PyMem_Free(order);
    }
    return answer;
}

static void levels_free(Levels *levels)
{
    for (Py_ssize_t i = 0; i < levels->count; i++) {
        PyMem_Free(levels->texts[i]);
    }
    PyMem_Free(levels->texts);
    PyMem_Free(levels->lengths);
    PyMem_Free(levels->slots);
}

static int levels_fill(Levels *levels, PyObject *texts)
{
    Py_ssize_t count = PyTuple_GET_SIZE(texts);
    uint32_t size = 8;
    while (size < (uint64_t)count * 2) {
        size *= 2;
    }
    levels->mask = size - 1;
    levels->slots = PyMem_Calloc(size, sizeof(uint32_t));
    levels->texts = PyMem_Calloc((size_t)(count ? count : 1), sizeof(char *));
    levels->lengths = PyMem_Calloc((size_t)(count ? count : 1), sizeof(Py_ssize_t));
    if (levels->slots == NULL || levels->texts == NULL || levels->lengths == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(texts, i), &text, &length) != 0) {
            return -1;
        }
        if ((levels->texts[i] = PyMem_Malloc((size_t)(length ? length : 1))) == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(levels->texts[i], text, (size_t)length);
        levels->lengths[i] = length;
        levels->count = i + 1;
        uint32_t at = hash_of(text, length) & levels->mask;
        while (levels->slots[at] != 0) {
            at = (at + 1) & levels->mask;
        }
        levels->slots[at] = (uint32_t)(i + 1);
    }
    return 0;
}

static void reader_dealloc(Reader *self)
{
    if (self->levels != NULL) {
        for (Py_ssize_t i = 0; i < self->width; i++) {
            levels_free(&self->levels[i]);
        }
    }
    PyMem_Free(self->levels);
    PyMem_Free(self->kinds);
    PyTypeObject *type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *reader_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    const char *kinds;
    Py_ssize_t width;
    PyObject *levels;
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "Reader takes its arguments by position");
        return NULL;
    }
    if (!PyArg_ParseTuple(arguments, "y#O!", &kinds, &width, &PyTuple_Type, &levels)) {
        return NULL;
    }
    if (width == 0 || PyTuple_GET_SIZE(levels) != width) {
        PyErr_SetString(PyExc_ValueError, "Reader needs at least one column, and a tuple of levels for each");
        return NULL;
    }
    Reader *self = (Reader *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->width = width;
    self->kinds = PyMem_Malloc((size_t)width);
    self->levels = PyMem_Calloc((size_t)width, sizeof(Levels));
    if (self->kinds == NULL || self->levels == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    memcpy(self->kinds, kinds, (size_t)width);
    for (Py_ssize_t i = 0; i < width; i++) {
        PyObject *texts = PyTuple_GET_ITEM(levels, i);
        if (!PyTuple_Check(texts) || strchr("nibc", kinds[i]) == NULL || kinds[i] == '\0') {
            PyErr_SetString(PyExc_ValueError, "each column has a kind among n, i, b, c and a tuple of levels");
            Py_DECREF(self);
            return NULL;
        }
        if (levels_fill(&self->levels[i], texts) != 0) {
            Py_DECREF(self);
            return NULL;
        }
    }
    return (PyObject *)self;
}

static PyMethodDef reader_methods[] = {
    {"read", (PyCFunction)(void (*)(void))reader_read, METH_FASTCALL,
     "read(body, start, order) -> (bytearray of doubles, rows)"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_new, reader_new},
    {Py_tp_dealloc, reader_dealloc},
    {Py_tp_methods, reader_methods},
    {Py_tp_doc, "Reader(kinds, levels): reads the CSV rows of one schema"},
    {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "inference._csv.Reader",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reader_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "inference._csv",
    .m_doc = "CSV text into a matrix of doubles.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__csv(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *self = PyModule_Create(&module);
    if (self == NULL) {
        return NULL;
    }
    PyObject *type = PyType_FromSpec(&reader_spec);
    CellError = PyErr_NewException("inference._csv.CellError", PyExc_ValueError, NULL);
    if (type == NULL || CellError == NULL || PyModule_AddObjectRef(self, "Reader", type) != 0 ||
        PyModule_AddObjectRef(self, "CellError", CellError) != 0) {
        Py_XDECREF(type);
        Py_DECREF(self);
        return NULL;
    }
    Py_DECREF(type);
    return self;
}
