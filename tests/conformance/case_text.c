/* The text of a case into tensors and attributes. */
#include "tests/conformance/case_text.h"

#include "host/base/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    clv_dtype dtype;
} types[] = {{"f32", CLV_FLOAT32},  {"f64", CLV_FLOAT64}, {"f16", CLV_FLOAT16}, {"i8", CLV_INT8},
             {"i16", CLV_INT16},    {"i32", CLV_INT32},   {"i64", CLV_INT64},   {"u8", CLV_UINT8},
             {"u16", CLV_UINT16},   {"u32", CLV_UINT32},  {"u64", CLV_UINT64},  {"bool", CLV_BOOL},
             {"bf16", CLV_BFLOAT16}};

static clv_status *bad_text(const char *what, const char *text) {
    return CLV_ERROR(INTERNAL, "text of the case: %s at '%s'", what, text);
}

void clv_case_skip_spaces(const char **text) {
    *text += strspn(*text, " ");
}

static bool parse_type(const char **text, clv_dtype *out_dtype) {
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t length = strlen(types[i].word);
        if (strncmp(*text, types[i].word, length) == 0 && (*text)[length] == '[') {
            *out_dtype = types[i].dtype;
            *text += length;
            return true;
        }
    }
    return false;
}

bool clv_case_starts_tensor(const char *text) {
    clv_dtype dtype;
    return parse_type(&text, &dtype);
}

static clv_status *parse_dims(const char **text, clv_shape *out_shape) {
    const char *start = *text;
    *out_shape = (clv_shape){.rank = 0};
    (*text)++;
    while (**text != ']') {
        char *end = NULL;
        if (out_shape->rank == CLV_MAX_RANK) {
            return bad_text("too many dimensions", start);
        }
        out_shape->dims[out_shape->rank++] = strtoll(*text, &end, 10);
        if (end == *text || (*end != ',' && *end != ']')) {
            return bad_text("bad dimensions", start);
        }
        *text = *end == ',' ? end + 1 : end;
    }
    (*text)++;
    return NULL;
}

/* {1,2,3}: strtod reads integers beyond 2^53 wrongly, so those go through strtoll. */
static clv_status *fill_listed(const char **text, clv_dtype dtype, void *data, int64_t elements) {
    const char *start = *text;
    int64_t num = 0;
    bool is_float = clv_dtype_is_float(dtype);
    (*text)++;
    while (**text != '}') {
        char *end = NULL;
        double value = 0;
        int64_t integer = 0;
        if (is_float) {
            value = strtod(*text, &end);
        } else if (dtype == CLV_UINT64) {
            integer = (int64_t)strtoull(*text, &end, 10);
        } else {
            integer = strtoll(*text, &end, 10);
        }
        if (end == *text || (*end != ',' && *end != '}') || num == elements) {
            return bad_text(num == elements ? "too many values" : "bad values", start);
        }
        if (is_float) {
            clv_store_double(dtype, data, num++, value);
        } else {
            clv_store_int64(dtype, data, num++, integer);
        }
        *text = *end == ',' ? end + 1 : end;
    }
    (*text)++;
    size_t bytes = clv_dtype_bytes(dtype);
    if (num == 0 && elements > 0) {
        return bad_text("no values", start);
    }
    for (int64_t i = num; i < elements; i++) {
        memcpy((char *)data + (size_t)i * bytes, (char *)data + (size_t)(i - num) * bytes, bytes);
    }
    return NULL;
}

static void fill_special(clv_dtype dtype, void *data, int64_t elements, clv_random *random) {
    static const double specials[] = {0.0,   -0.0, INFINITY, -INFINITY, NAN,    1e-40, 3e38,
                                      -3e38, 0.5,  -0.5,     1.5,       2.5,    -1.5,  1e10,
                                      -1e10, 1.0,  -1.0,     88.0,      -104.0, 1e-7};
    size_t num = sizeof specials / sizeof specials[0];
    for (int64_t i = 0; i < elements; i++) {
        bool is_special = i < (int64_t)num || clv_random_below(random, 4) == 0;
        size_t which = i < (int64_t)num ? (size_t)i : (size_t)clv_random_below(random, num);
        double value = is_special ? specials[which] : clv_random_normal(random);
        clv_store_double(dtype, data, i, value);
    }
}

static clv_status *fill_uniform(
    const char **text, clv_dtype dtype, void *data, int64_t elements, clv_random *random) {
    char *end = NULL;
    double low = strtod(*text, &end);
    if (end == *text || *end != ':') {
        return bad_text("bad range", *text);
    }
    const char *second = end + 1;
    double high = strtod(second, &end);
    if (end == second || high < low) {
        return bad_text("bad range", *text);
    }
    *text = end;
    for (int64_t i = 0; i < elements; i++) {
        if (clv_dtype_is_float(dtype)) {
            clv_store_double(dtype, data, i, low + (high - low) * clv_random_unit(random));
        } else {
            uint64_t span = (uint64_t)(int64_t)(high - low) + 1;
            clv_store_int64(dtype, data, i, (int64_t)low + (int64_t)clv_random_below(random, span));
        }
    }
    return NULL;
}

static void fill_default(clv_dtype dtype, void *data, int64_t elements, clv_random *random) {
    bool is_unsigned =
        dtype == CLV_UINT8 || dtype == CLV_UINT16 || dtype == CLV_UINT32 || dtype == CLV_UINT64;
    for (int64_t i = 0; i < elements; i++) {
        if (clv_dtype_is_float(dtype)) {
            clv_store_double(dtype, data, i, clv_random_normal(random));
        } else if (dtype == CLV_BOOL) {
            clv_store_int64(dtype, data, i, (int64_t)clv_random_below(random, 2));
        } else if (is_unsigned) {
            clv_store_int64(dtype, data, i, (int64_t)clv_random_below(random, 16));
        } else {
            clv_store_int64(dtype, data, i, (int64_t)clv_random_below(random, 17) - 8);
        }
    }
}

static clv_status *fill(
    const char **text, clv_dtype dtype, void *data, int64_t elements, uint64_t seed) {
    clv_random random;
    clv_random_init(&random, seed);
    if (**text == '{') {
        return fill_listed(text, dtype, data, elements);
    }
    if (**text != '~') {
        fill_default(dtype, data, elements, &random);
        return NULL;
    }
    (*text)++;
    if (strncmp(*text, "seq", 3) == 0) {
        *text += 3;
        for (int64_t i = 0; i < elements; i++) {
            clv_store_int64(dtype, data, i, i);
        }
        return NULL;
    }
    if (strncmp(*text, "special", 7) == 0) {
        *text += 7;
        fill_special(dtype, data, elements, &random);
        return NULL;
    }
    return fill_uniform(text, dtype, data, elements, &random);
}

clv_status *clv_case_parse_tensor(
    const char **text, clv_arena *arena, uint64_t seed, clv_view *out_view, bool *out_known) {
    *out_view = (clv_view){.dtype = CLV_DTYPE_NONE};
    *out_known = false;
    if (**text == '-') {
        (*text)++;
        return NULL;
    }
    if (!parse_type(text, &out_view->dtype)) {
        return bad_text("no type such as 'f32['", *text);
    }
    CLV_TRY(parse_dims(text, &out_view->shape));
    int64_t elements = 1;
    for (int i = 0; i < out_view->shape.rank; i++) {
        elements *= out_view->shape.dims[i];
    }
    /* A shape alone is enough for a case that is refused: no data beyond what tests may use. */
    if (elements >= 0 && elements <= (1 << 26)) {
        void *data = clv_arena_alloc(arena, (size_t)elements, clv_dtype_bytes(out_view->dtype));
        if (data == NULL) {
            return CLV_NO_ARENA("a test tensor");
        }
        CLV_TRY(fill(text, out_view->dtype, data, elements, seed));
        out_view->data = data;
    }
    if (**text == '!') {
        *out_known = true;
        (*text)++;
    }
    return **text == '\0' || **text == ' ' || **text == ',' || **text == ']'
               ? NULL
               : bad_text("something after a tensor", *text);
}

static char *take_word(const char **text, const char *ends, clv_arena *arena) {
    size_t length = strcspn(*text, ends);
    char *word = clv_arena_strndup(arena, *text, length);
    *text += length;
    return word;
}

static bool parse_int(const char *word, int64_t *out_value) {
    char *end = NULL;
    *out_value = strtoll(word, &end, 10);
    return end != word && *end == '\0';
}

static bool parse_float(const char *word, float *out_value) {
    char *end = NULL;
    *out_value = (float)strtod(word, &end);
    return end != word && *end == '\0';
}

/* Sets type and values of `attr` from `words`; one scalar where `is_list` is false. */
static clv_status *set_attr(
    clv_attr *attr, char *const *words, size_t num, bool is_list, clv_arena *arena) {
    int64_t *ints = clv_arena_alloc(arena, num, sizeof *ints);
    float *floats = clv_arena_alloc(arena, num, sizeof *floats);
    const char **strings = clv_arena_alloc(arena, num, sizeof *strings);
    if (ints == NULL || floats == NULL || strings == NULL) {
        return CLV_NO_ARENA("an attribute");
    }
    bool all_ints = true, all_floats = true;
    for (size_t i = 0; i < num; i++) {
        all_ints = all_ints && parse_int(words[i], &ints[i]);
        all_floats = all_floats && parse_float(words[i], &floats[i]);
        strings[i] = words[i];
    }
    attr->count = is_list ? num : 1;
    if (all_ints) {
        attr->type = is_list ? CLV_ATTR_INTS : CLV_ATTR_INT;
        if (is_list) {
            attr->value.ints = ints;
        } else {
            attr->value.i = ints[0];
        }
    } else if (all_floats) {
        attr->type = is_list ? CLV_ATTR_FLOATS : CLV_ATTR_FLOAT;
        if (is_list) {
            attr->value.floats = floats;
        } else {
            attr->value.f = floats[0];
        }
    } else {
        attr->type = is_list ? CLV_ATTR_STRINGS : CLV_ATTR_STRING;
        if (is_list) {
            attr->value.strings = strings;
        } else {
            attr->value.string = strings[0];
        }
    }
    return NULL;
}

enum { MAX_LIST = 64 };

static clv_status *parse_list(const char **text, clv_attr *attr, clv_arena *arena) {
    char *words[MAX_LIST];
    size_t num = 0;
    const char *start = *text;
    (*text)++;
    while (**text != ']') {
        if (num == MAX_LIST || **text == '\0') {
            return bad_text("bad list", start);
        }
        words[num] = take_word(text, ",]", arena);
        if (words[num++] == NULL) {
            return CLV_NO_ARENA("an attribute");
        }
        if (**text == ',') {
            (*text)++;
        }
    }
    (*text)++;
    return set_attr(attr, words, num, true, arena);
}

clv_status *clv_case_parse_attr(
    const char **text, clv_arena *arena, uint64_t seed, clv_attr *out_attr) {
    const char *start = *text;
    *out_attr = (clv_attr){.name = take_word(text, "= ", arena)};
    if (out_attr->name == NULL) {
        return CLV_NO_ARENA("an attribute");
    }
    if (**text != '=') {
        return bad_text("no '=' in an attribute", start);
    }
    (*text)++;
    if (clv_case_starts_tensor(*text)) {
        clv_view *tensor = clv_arena_alloc(arena, 1, sizeof *tensor);
        bool known;
        if (tensor == NULL) {
            return CLV_NO_ARENA("an attribute");
        }
        out_attr->type = CLV_ATTR_TENSOR;
        out_attr->count = 1;
        out_attr->value.tensor = tensor;
        return clv_case_parse_tensor(text, arena, seed, tensor, &known);
    }
    if (**text == '[') {
        return parse_list(text, out_attr, arena);
    }
    if (**text == '"') {
        (*text)++;
        out_attr->type = CLV_ATTR_STRING;
        out_attr->count = 1;
        out_attr->value.string = take_word(text, "\"", arena);
        if (out_attr->value.string == NULL) {
            return CLV_NO_ARENA("an attribute");
        }
        *text += **text == '"';
        return NULL;
    }
    char *word = take_word(text, " ", arena);
    if (word == NULL) {
        return CLV_NO_ARENA("an attribute");
    }
    return set_attr(out_attr, &word, 1, false, arena);
}
