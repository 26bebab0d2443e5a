#include "host/ir/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct dtype_info {
    const char *word;
    int32_t onnx;
    size_t bytes;
} dtype_info;

static const dtype_info dtypes[CLV_NUM_DTYPES] = {
    [CLV_DTYPE_NONE] = {.word = "none"},
#define DTYPE(name, onnx_code, size, text) \
    [CLV_##name] = {.word = text, .onnx = onnx_code, .bytes = size},
#include "host/ir/dtype.def"
#undef DTYPE
};

static const dtype_info *find_dtype(clv_dtype dtype) {
    bool known = (unsigned)dtype < CLV_NUM_DTYPES;
    return &dtypes[known ? dtype : CLV_DTYPE_NONE];
}

size_t clv_dtype_bytes(clv_dtype dtype) {
    return find_dtype(dtype)->bytes;
}

const char *clv_dtype_name(clv_dtype dtype) {
    return find_dtype(dtype)->word;
}

clv_dtype clv_dtype_from_onnx(int32_t code) {
    for (int i = 1; i < CLV_NUM_DTYPES; i++) {
        if (dtypes[i].onnx == code) {
            return (clv_dtype)i;
        }
    }
    return CLV_DTYPE_NONE;
}

int32_t clv_dtype_to_onnx(clv_dtype dtype) {
    return find_dtype(dtype)->onnx;
}

clv_dtype clv_dtype_find(const char *word) {
    for (int i = 1; i < CLV_NUM_DTYPES; i++) {
        if (strcmp(dtypes[i].word, word) == 0) {
            return (clv_dtype)i;
        }
    }
    return CLV_DTYPE_NONE;
}

bool clv_dtype_is_float(clv_dtype dtype) {
    return dtype == CLV_FLOAT32 || dtype == CLV_FLOAT64 || dtype == CLV_FLOAT16 ||
           dtype == CLV_BFLOAT16;
}

bool clv_dtype_is_integer(clv_dtype dtype) {
    return dtype != CLV_DTYPE_NONE && dtype != CLV_BOOL && !clv_dtype_is_float(dtype);
}

bool clv_shape_is_known(const clv_shape *shape) {
    if (shape->rank < 0) {
        return false;
    }
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            return false;
        }
    }
    return true;
}

bool clv_shape_equal(const clv_shape *a, const clv_shape *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

int64_t clv_shape_elements(const clv_shape *shape) {
    return clv_shape_product(shape, 0, shape->rank);
}

int64_t clv_shape_product(const clv_shape *shape, int begin, int end) {
    int64_t product = 1;
    for (int i = begin; i < end; i++) {
        product *= shape->dims[i];
    }
    return product;
}

void clv_shape_strides(const clv_shape *shape, int64_t out_strides[CLV_MAX_RANK]) {
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        out_strides[i] = stride;
        stride *= shape->dims[i];
    }
}

clv_status *clv_shape_check(const clv_shape *shape, const char *what) {
    char text[CLV_SHAPE_TEXT];
    if (shape->rank < 0) {
        return CLV_ERROR(MALFORMED, "%s has no known rank", what);
    }
    if (shape->rank > CLV_MAX_RANK) {
        return CLV_ERROR(
            UNSUPPORTED, "%s has rank %d, cleave handles 0 to %d", what, (int)shape->rank,
            CLV_MAX_RANK);
    }
    /* An empty dimension counts as 1, so that every partial product (a stride) fits as well. */
    int64_t product = 1;
    bool fits = true;
    for (int i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dims[i];
        if (dim < 0) {
            return CLV_ERROR(
                MALFORMED, "%s has the shape %s: dimension %d is %s", what,
                clv_shape_format(shape, text), i, dim == CLV_DIM_FREE ? "not known" : "negative");
        }
        if (dim > 1) {
            fits = fits && dim <= CLV_MAX_ELEMENTS / product;
            product = fits ? product * dim : product;
        }
    }
    if (!fits) {
        return CLV_ERROR(
            UNSUPPORTED, "%s has the shape %s: more than %" PRId64 " elements", what,
            clv_shape_format(shape, text), CLV_MAX_ELEMENTS);
    }
    return NULL;
}

const char *clv_shape_format(const clv_shape *shape, char buffer[CLV_SHAPE_TEXT]) {
    if (shape->rank < 0) {
        snprintf(buffer, CLV_SHAPE_TEXT, "[...]");
        return buffer;
    }
    size_t used = 0;
    buffer[used++] = '[';
    /* 8 dimensions of at most 20 characters and a comma fit into CLV_SHAPE_TEXT. */
    for (int i = 0; i < shape->rank && i < CLV_MAX_RANK; i++) {
        const char *comma = i == 0 ? "" : ",";
        int length;
        if (shape->dims[i] == CLV_DIM_FREE) {
            length = snprintf(buffer + used, CLV_SHAPE_TEXT - used, "%s?", comma);
        } else {
            length =
                snprintf(buffer + used, CLV_SHAPE_TEXT - used, "%s%" PRId64, comma, shape->dims[i]);
        }
        used += (size_t)length;
    }
    buffer[used++] = ']';
    buffer[used] = '\0';
    return buffer;
}

clv_status *clv_shape_broadcast(const clv_shape *a, const clv_shape *b, clv_shape *out_shape) {
    clv_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= result.rank; i++) {
        int64_t from_a = i <= a->rank ? a->dims[a->rank - i] : 1;
        int64_t from_b = i <= b->rank ? b->dims[b->rank - i] : 1;
        if (from_a != from_b && from_a != 1 && from_b != 1) {
            char text_a[CLV_SHAPE_TEXT], text_b[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "the shapes %s and %s cannot be broadcast together",
                clv_shape_format(a, text_a), clv_shape_format(b, text_b));
        }
        result.dims[result.rank - i] = from_a == 1 ? from_b : from_a;
    }
    *out_shape = result;
    return NULL;
}

size_t clv_view_bytes(clv_dtype dtype, const clv_shape *shape) {
    return (size_t)clv_shape_elements(shape) * clv_dtype_bytes(dtype);
}
