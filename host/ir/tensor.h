/* Element types and shapes. Tensors are dense and row-major unless a layout says otherwise. */
#ifndef CLV_IR_TENSOR_H
#define CLV_IR_TENSOR_H

#include "host/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLV_MAX_RANK = 8 };

/* 2^31 - 1: device indices within one tensor are 32-bit. */
#define CLV_MAX_ELEMENTS INT64_C(2147483647)

typedef enum clv_dtype {
    CLV_DTYPE_NONE,
#define DTYPE(name, onnx, bytes, word) CLV_##name,
#include "dtype.def"
#undef DTYPE
    CLV_NUM_DTYPES
} clv_dtype;

size_t clv_dtype_bytes(clv_dtype dtype);
const char *clv_dtype_name(clv_dtype dtype); /* "float32"; "none" */
clv_dtype clv_dtype_from_onnx(int32_t code); /* NONE for what is not in the table */
int32_t clv_dtype_to_onnx(clv_dtype dtype);
clv_dtype clv_dtype_find(const char *word); /* NONE where unknown */
bool clv_dtype_is_float(clv_dtype dtype);   /* any width */
bool clv_dtype_is_integer(clv_dtype dtype); /* signed or not; bool is not one */

/* A dimension is >= 0, or CLV_DIM_FREE where it is not known (then no data and no kernels exist).
 */
#define CLV_DIM_FREE INT64_C(-1)

typedef struct clv_shape {
    int32_t rank; /* 0: scalar; -1: not even the rank is known */
    int64_t dims[CLV_MAX_RANK];
} clv_shape;

bool clv_shape_is_known(const clv_shape *shape);
bool clv_shape_equal(const clv_shape *a, const clv_shape *b);
/* Product of dimensions (1 for a scalar); the shape is known and was checked by clv_shape_check. */
int64_t clv_shape_elements(const clv_shape *shape);
/* Product of dims[begin .. end). */
int64_t clv_shape_product(const clv_shape *shape, int begin, int end);
/* Row-major strides in elements. */
void clv_shape_strides(const clv_shape *shape, int64_t out_strides[CLV_MAX_RANK]);
/* MALFORMED for a negative or unknown dimension, UNSUPPORTED for a rank above CLV_MAX_RANK or more
 * than CLV_MAX_ELEMENTS elements (a dimension of 0 counts as 1 here, so that every stride fits
 * too); `what` names the tensor: "input 'x' has the shape ...". */
clv_status *clv_shape_check(const clv_shape *shape, const char *what) CLV_CHECKED;
/* "[1,3,224,224]", "[1,?,4]"; always terminates. */
enum { CLV_SHAPE_TEXT = 192 };
const char *clv_shape_format(const clv_shape *shape, char buffer[CLV_SHAPE_TEXT]);
/* NumPy's multidirectional broadcasting of two shapes into one; MALFORMED where they do not fit. */
clv_status *clv_shape_broadcast(const clv_shape *a, const clv_shape *b, clv_shape *out_shape)
    CLV_CHECKED;

/* How a tensor lies in device memory: all zero is plain (dense, row-major). host/ir/layout.h */
typedef struct clv_layout {
    uint8_t block;        /* channels side by side; 0: plain */
    uint8_t gap_y, gap_x; /* blocked: zero rows behind each plane, zero pixels behind each row */
} clv_layout;

/* A tensor seen from outside a graph. `data` is host memory, row-major, NULL where there is none (a
 * shape alone). */
typedef struct clv_view {
    clv_dtype dtype;
    clv_shape shape;
    const void *data;
    clv_layout layout; /* in device memory; of operands of kernels only */
} clv_view;

/* The same, to be written. */
typedef struct clv_mutable_view {
    clv_dtype dtype;
    clv_shape shape;
    void *data;
} clv_mutable_view;

size_t clv_view_bytes(clv_dtype dtype, const clv_shape *shape);

/* One element as a number, whatever its type (float16 and bfloat16 too). */
double clv_load_double(clv_dtype dtype, const void *data, int64_t index);
int64_t clv_load_int64(clv_dtype dtype, const void *data, int64_t index);
/* Floats round to nearest, ties to even, in one step. Integers: the fraction is cut off, the rest
 * wraps modulo 2^bits; NaN and infinities become 0. bool is (value != 0). Data may be unaligned. */
void clv_store_double(clv_dtype dtype, void *data, int64_t index, double value);
void clv_store_int64(clv_dtype dtype, void *data, int64_t index, int64_t value);

/* The float16 that clv_store_double() gives, quickly; beyond the largest, 65504, by half a step or
 * more: infinity. */
uint16_t clv_half_from_float(float value);
/* Whether none of `count` float32 at `data` (perhaps unaligned) becomes infinity or is not finite
 * as float16. */
bool clv_half_holds(const void *data, int64_t count);

#endif
