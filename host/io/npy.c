/* NumPy's .npy. Source: numpy/lib/format.py, "NPY format". */
#include "host/io/formats.h"

#include "host/base/memory.h"
#include <stdlib.h>
#include <string.h>

static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* --- the header: a Python dictionary, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
 */

typedef struct parser {
    const char *at, *end;
} parser;

static void skip_space(parser *p) {
    while (p->at < p->end && strchr(" \t\r\n", *p->at) != NULL && *p->at != '\0') {
        p->at++;
    }
}

static bool take_char(parser *p, char c) {
    skip_space(p);
    if (p->at < p->end && *p->at == c) {
        p->at++;
        return true;
    }
    return false;
}

static bool take_word(parser *p, const char *word) {
    skip_space(p);
    size_t length = strlen(word);
    if ((size_t)(p->end - p->at) >= length && memcmp(p->at, word, length) == 0) {
        p->at += length;
        return true;
    }
    return false;
}

/* A quoted string without escapes, cut to fit. */
static bool take_string(parser *p, char *out_text, size_t capacity) {
    skip_space(p);
    if (p->at >= p->end || (*p->at != '\'' && *p->at != '"')) {
        return false;
    }
    char quote = *p->at++;
    const char *close = memchr(p->at, quote, (size_t)(p->end - p->at));
    if (close == NULL) {
        return false;
    }
    size_t length = (size_t)(close - p->at);
    length = length < capacity - 1 ? length : capacity - 1;
    memcpy(out_text, p->at, length);
    out_text[length] = '\0';
    p->at = close + 1;
    return true;
}

/* Digits; false also where they do not fit. */
static bool take_number(parser *p, int64_t *out_value) {
    skip_space(p);
    const char *start = p->at;
    int64_t value = 0;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++) {
        int digit = *p->at - '0';
        if (value > (INT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out_value = value;
    bool found = p->at > start;
    if (found && p->at < p->end && *p->at == 'L') {
        p->at++; /* Python 2 */
    }
    return found;
}

static clv_status *parse_shape(parser *p, clv_shape *out_shape) {
    *out_shape = (clv_shape){0};
    if (!take_char(p, '(')) {
        return CLV_ERROR(MALFORMED, "the header's shape is no tuple");
    }
    while (!take_char(p, ')')) {
        int64_t dim = 0;
        if (!take_number(p, &dim)) {
            return CLV_ERROR(MALFORMED, "the header's shape is no tuple of whole numbers");
        }
        if (out_shape->rank == CLV_MAX_RANK) {
            return CLV_ERROR(UNSUPPORTED, "it has more than %d dimensions", CLV_MAX_RANK);
        }
        out_shape->dims[out_shape->rank++] = dim;
        if (!take_char(p, ',')) {
            if (!take_char(p, ')')) {
                return CLV_ERROR(MALFORMED, "the header's shape has no end");
            }
            break;
        }
    }
    return clv_shape_check(out_shape, "the array");
}

typedef struct npy_type {
    const char *code;
    clv_dtype dtype;
} npy_type;

/* The first of a type is the one that is written. */
static const npy_type types[] = {
    {"f4", CLV_FLOAT32}, {"u1", CLV_UINT8},    {"i1", CLV_INT8},   {"u2", CLV_UINT16},
    {"i2", CLV_INT16},   {"i4", CLV_INT32},    {"i8", CLV_INT64},  {"b1", CLV_BOOL},
    {"f2", CLV_FLOAT16}, {"f8", CLV_FLOAT64},  {"u4", CLV_UINT32}, {"u8", CLV_UINT64},
    {"?", CLV_BOOL},     {"V2", CLV_BFLOAT16},
};

static clv_status *parse_type(parser *p, clv_npy_header *header) {
    char descr[32];
    if (!take_string(p, descr, sizeof descr)) {
        return CLV_ERROR(UNSUPPORTED, "arrays of records are not supported");
    }
    const char *code = descr;
    if (*code != '\0' && strchr("<>|=", *code) != NULL) {
        header->is_big_endian = *code == '>';
        code++;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(code, types[i].code) == 0) {
            header->dtype = types[i].dtype;
            return NULL;
        }
    }
    return CLV_ERROR(UNSUPPORTED, "elements of NumPy type '%s' are not supported", descr);
}

static clv_status *parse_dictionary(parser *p, clv_npy_header *header) {
    bool has_shape = false, has_order = false;
    if (!take_char(p, '{')) {
        return CLV_ERROR(MALFORMED, "the header is no dictionary");
    }
    while (!take_char(p, '}')) {
        char key[32];
        if (!take_string(p, key, sizeof key) || !take_char(p, ':')) {
            return CLV_ERROR(MALFORMED, "the header is damaged");
        }
        if (strcmp(key, "descr") == 0) {
            CLV_TRY(parse_type(p, header));
        } else if (strcmp(key, "fortran_order") == 0) {
            header->is_fortran = take_word(p, "True");
            if (!header->is_fortran && !take_word(p, "False")) {
                return CLV_ERROR(MALFORMED, "the header's fortran_order is neither True nor False");
            }
            has_order = true;
        } else if (strcmp(key, "shape") == 0) {
            CLV_TRY(parse_shape(p, &header->shape));
            has_shape = true;
        } else {
            return CLV_ERROR(MALFORMED, "the header has a key '%s'", key);
        }
        if (!take_char(p, ',')) {
            if (!take_char(p, '}')) {
                return CLV_ERROR(MALFORMED, "the header has no end");
            }
            break;
        }
    }
    if (header->dtype == CLV_DTYPE_NONE || !has_shape || !has_order) {
        return CLV_ERROR(MALFORMED, "the header lacks descr, fortran_order or shape");
    }
    return NULL;
}

clv_status *clv_npy_read_header(const uint8_t *data, size_t bytes, clv_npy_header *out_header) {
    *out_header = (clv_npy_header){0};
    if (bytes < 10 || memcmp(data, magic, sizeof magic) != 0) {
        return CLV_ERROR(MALFORMED, "not a NumPy .npy file");
    }
    int version = data[6];
    if (version < 1 || version > 3) {
        return CLV_ERROR(UNSUPPORTED, "version %d of the .npy format is not supported", version);
    }
    size_t start = version == 1 ? 10 : 12;
    size_t length = (size_t)data[8] | (size_t)data[9] << 8;
    if (version > 1 && bytes >= start) {
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    }
    if (length > CLV_NPY_MAX_HEADER || bytes < start || length > bytes - start) {
        return CLV_ERROR(MALFORMED, "its header is cut off or too long");
    }
    parser p = {.at = (const char *)data + start, .end = (const char *)data + start + length};
    CLV_TRY(parse_dictionary(&p, out_header));
    out_header->data_offset = start + length;
    return NULL;
}

/* --- elements --- */

static void copy_element(uint8_t *to, const uint8_t *from, size_t bytes, bool swap) {
    if (!swap) {
        memcpy(to, from, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        to[i] = from[bytes - 1 - i];
    }
}

/* Element (i0, i1, ...) of an array in Fortran order is at i0 + d0 * (i1 + d1 * (i2 + ...)). */
static void copy_fortran(
    const clv_npy_header *header, const uint8_t *data, uint8_t *out, size_t bytes) {
    const clv_shape *shape = &header->shape;
    int64_t index[CLV_MAX_RANK] = {0};
    int64_t count = clv_shape_elements(shape);
    for (int64_t i = 0; i < count; i++) {
        int64_t from = 0;
        for (int d = shape->rank - 1; d >= 0; d--) {
            from = from * shape->dims[d] + index[d];
        }
        copy_element(
            out + (size_t)i * bytes, data + (size_t)from * bytes, bytes, header->is_big_endian);
        for (int d = shape->rank - 1; d >= 0 && ++index[d] == shape->dims[d]; d--) {
            index[d] = 0;
        }
    }
}

void clv_npy_convert(const clv_npy_header *header, const uint8_t *data, void *out_elements) {
    uint8_t *out = out_elements;
    size_t bytes = clv_dtype_bytes(header->dtype);
    size_t count = (size_t)clv_shape_elements(&header->shape);
    if (header->is_fortran && header->shape.rank > 1) {
        copy_fortran(header, data, out, bytes);
    } else if (header->is_big_endian) {
        for (size_t i = 0; i < count; i++) {
            copy_element(out + i * bytes, data + i * bytes, bytes, true);
        }
    } else if (count > 0) {
        memcpy(out, data, count * bytes);
    }
    if (header->dtype == CLV_BOOL) {
        for (size_t i = 0; i < count; i++) {
            out[i] = out[i] != 0;
        }
    }
}

clv_status *clv_npy_read(const uint8_t *data, size_t bytes, clv_value **out_value) {
    clv_npy_header header;
    *out_value = NULL;
    CLV_TRY(clv_npy_read_header(data, bytes, &header));
    size_t needed = clv_view_bytes(header.dtype, &header.shape);
    size_t there = bytes - header.data_offset;
    if (needed != there) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED, "has %zu bytes of elements, %s %s needs %zu", there,
            clv_dtype_name(header.dtype), clv_shape_format(&header.shape, text), needed);
    }
    CLV_TRY(clv_value_create(header.dtype, &header.shape, out_value));
    clv_npy_convert(&header, data + header.data_offset, (*out_value)->data);
    return NULL;
}

/* --- writing --- */

static const char *code_of(clv_dtype dtype) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].dtype == dtype) {
            return types[i].code;
        }
    }
    return NULL;
}

static void add_header(clv_text *out, const char *code, const clv_shape *shape) {
    clv_text dictionary;
    clv_text_init(&dictionary);
    clv_text_add(
        &dictionary, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
        code[1] == '1' ? '|' : '<', code);
    for (int i = 0; i < shape->rank; i++) {
        const char *after = i + 1 < shape->rank ? ", " : shape->rank == 1 ? "," : "";
        clv_text_add(&dictionary, "%lld%s", (long long)shape->dims[i], after);
    }
    clv_text_add(&dictionary, "), }");
    /* Elements begin at a multiple of 64, after a newline. */
    size_t used = 10 + dictionary.length + 1;
    clv_text_add(&dictionary, "%*s\n", (int)((64 - used % 64) % 64), "");
    uint8_t head[10] = {0};
    memcpy(head, magic, sizeof magic);
    head[6] = 1;
    head[8] = (uint8_t)(dictionary.length & 0xff);
    head[9] = (uint8_t)(dictionary.length >> 8);
    clv_text_add_bytes(out, (const char *)head, sizeof head);
    clv_text_add_bytes(out, dictionary.data, dictionary.length);
    out->failed |= dictionary.failed;
    clv_text_deinit(&dictionary);
}

clv_status *clv_npy_write(const clv_view *view, clv_text *out_bytes) {
    clv_dtype dtype = view->dtype == CLV_BFLOAT16 ? CLV_FLOAT32 : view->dtype;
    add_header(out_bytes, code_of(dtype), &view->shape);
    if (dtype == view->dtype) {
        clv_text_add_bytes(out_bytes, view->data, clv_view_bytes(dtype, &view->shape));
    } else {
        for (int64_t i = 0; i < clv_shape_elements(&view->shape); i++) {
            float element = (float)clv_load_double(view->dtype, view->data, i);
            clv_text_add_bytes(out_bytes, (const char *)&element, sizeof element);
        }
    }
    return out_bytes->failed ? CLV_ERROR(NO_MEMORY, "out of host memory for an .npy file") : NULL;
}
