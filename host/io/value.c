#include "host/io/tensor_file.h"

#include "host/base/hash.h"
#include "host/base/memory.h"
#include "host/base/random.h"
#include <string.h>

enum { ALIGNMENT = 64 };

clv_status *clv_value_create(clv_dtype dtype, const clv_shape *shape, clv_value **out_value) {
    *out_value = NULL;
    CLV_TRY(clv_shape_check(shape, "the tensor"));
    size_t bytes = clv_view_bytes(dtype, shape);
    clv_value *value = clv_alloc(sizeof *value);
    /* Never empty, so that data is never NULL. */
    void *data = value != NULL ? clv_alloc_aligned(ALIGNMENT, bytes > 0 ? bytes : 1) : NULL;
    if (data == NULL) {
        clv_free(value);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a tensor of %zu bytes", bytes);
    }
    memset(data, 0, bytes);
    *value = (clv_value){.dtype = dtype, .shape = *shape, .data = data};
    *out_value = value;
    return NULL;
}

void clv_value_destroy(clv_value *value) {
    if (value != NULL) {
        clv_free(value->data);
        clv_free(value);
    }
}

clv_status *clv_value_check(const clv_view *value, const clv_wanted *wanted, const char *source) {
    const clv_shape *shape = &wanted->shape;
    bool fits = wanted->dtype == CLV_DTYPE_NONE || value->dtype == wanted->dtype;
    if (shape->rank >= 0) {
        fits = fits && value->shape.rank == shape->rank;
        for (int i = 0; fits && i < shape->rank; i++) {
            fits = shape->dims[i] == CLV_DIM_FREE || shape->dims[i] == value->shape.dims[i];
        }
    }
    if (fits) {
        return NULL;
    }
    char needed[CLV_SHAPE_TEXT], got[CLV_SHAPE_TEXT];
    return CLV_ERROR(
        MALFORMED, "'%s' needs %s %s, %s has %s %s", wanted->name, clv_dtype_name(wanted->dtype),
        clv_shape_format(shape, needed), source, clv_dtype_name(value->dtype),
        clv_shape_format(&value->shape, got));
}

static const char *const fill_words[] = {
    [CLV_FILL_RANDOM] = "random",
    [CLV_FILL_ZEROS] = "zeros",
    [CLV_FILL_ONES] = "ones",
};

bool clv_fill_find(const char *word, clv_fill *out_fill) {
    for (size_t i = 0; i < sizeof fill_words / sizeof fill_words[0]; i++) {
        if (strcmp(word, fill_words[i]) == 0) {
            *out_fill = (clv_fill)i;
            return true;
        }
    }
    return false;
}

clv_status *clv_value_fill(
    const clv_wanted *wanted, clv_fill fill, uint64_t seed, clv_value **out_value) {
    *out_value = NULL;
    if (!clv_shape_is_known(&wanted->shape)) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            USAGE, "the shape of '%s' is not known: %s", wanted->name,
            clv_shape_format(&wanted->shape, text));
    }
    clv_value *value = NULL;
    CLV_TRY(clv_value_create(wanted->dtype, &wanted->shape, &value));
    clv_random random;
    clv_random_init(&random, seed ^ clv_hash_string(wanted->name).low);
    bool is_float = clv_dtype_is_float(value->dtype);
    int64_t count = fill == CLV_FILL_ZEROS ? 0 : clv_shape_elements(&value->shape);
    for (int64_t i = 0; i < count; i++) {
        if (fill == CLV_FILL_ONES) {
            clv_store_double(value->dtype, value->data, i, 1.0);
        } else if (is_float) {
            clv_store_double(value->dtype, value->data, i, clv_random_normal(&random));
        } else {
            int64_t bit = (int64_t)clv_random_below(&random, 2);
            clv_store_int64(value->dtype, value->data, i, bit);
        }
    }
    *out_value = value;
    return NULL;
}
