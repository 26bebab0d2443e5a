/* Tensors outside a graph: made, read from files and written to them.
 *
 * Kinds of file, by the ending of the name (in any case):
 *   .npy   NumPy versions 1 to 3; either byte order; Fortran order is put into C order. bfloat16,
 *          which NumPy has not, is written as float32 and read from 2-byte void ("V2")
 *   .npz   the entry with the tensor's name, else the only entry; stored or deflated
 *   .png   a picture: see clv_value_read
 *   .pb    a serialized ONNX TensorProto
 * Every file is untrusted: sizes are checked against the bytes that are there before memory is
 * taken. Errors name the file: IO, MALFORMED, UNSUPPORTED, NO_MEMORY.
 */
#ifndef CLV_IO_TENSOR_FILE_H
#define CLV_IO_TENSOR_FILE_H

#include "host/ir/tensor.h"

/* A dense row-major tensor that owns its memory (aligned to 64 bytes). */
typedef struct clv_value {
    clv_dtype dtype;
    clv_shape shape;
    void *data;
} clv_value;

/* Zeroed. `shape` is checked; NO_MEMORY. */
clv_status *clv_value_create(clv_dtype dtype, const clv_shape *shape, clv_value **out_value)
    CLV_CHECKED;
void clv_value_destroy(clv_value *value);
static inline clv_view clv_value_view(const clv_value *value) {
    return (clv_view){.dtype = value->dtype, .shape = value->shape, .data = value->data};
}

/* What a tensor is wanted for. */
typedef struct clv_wanted {
    const char *name; /* of the input or output; picks an entry of an .npz, names it in messages */
    clv_dtype dtype;  /* NONE: any will do (but a picture needs one) */
    clv_shape shape;  /* rank -1 or free dimensions: any will do */
} clv_wanted;

/* MALFORMED, with both types and shapes, where `value`, read from `source`, is not what is wanted.
 * Nothing is converted. */
clv_status *clv_value_check(const clv_view *value, const clv_wanted *wanted, const char *source)
    CLV_CHECKED;

/* How pixels become numbers: (pixel - mean) / std, pixels scaled to 0..1 first; and back. One
 * number for all channels, or one for each; none: 0 and 1. */
typedef struct clv_picture_scale {
    double mean[3], std[3];
    size_t num_mean, num_std;
} clv_picture_scale;

/* Reads `path`. The value has the file's own type and shape; compare with clv_value_check.
 *
 * A picture needs `wanted` to say what to make of it: [1,3,H,W] is red, green, blue, [1,1,H,W] luma
 * (BT.601: 0.299 R + 0.587 G + 0.114 B), a rank of -1 is [1,3,H,W]. Floats are scaled to 0..1, then
 * by `scale`; uint8 is raw. Palettes and 16 bits are expanded, gamma is left alone, alpha is
 * dropped. H and W that are not free must be the picture's.
 *
 * scale  NULL: none. USAGE where it does not fit the channels or the type
 */
clv_status *clv_value_read(
    const char *path, const clv_wanted *wanted, const clv_picture_scale *scale,
    clv_value **out_value) CLV_CHECKED;

typedef enum clv_fill { CLV_FILL_RANDOM, CLV_FILL_ZEROS, CLV_FILL_ONES } clv_fill;
/* False where `word` is none of random, zeros, ones. */
bool clv_fill_find(const char *word, clv_fill *out_fill);
/* Random floats are standard normal, integers and booleans 0 or 1; the numbers depend on `seed` and
 * wanted->name alone. USAGE where the wanted shape is not known. */
clv_status *clv_value_fill(
    const clv_wanted *wanted, clv_fill fill, uint64_t seed, clv_value **out_value) CLV_CHECKED;

/* Writes `view` to `path`, which is replaced whole or left as it was. In .npz and .pb it is called
 * `name`. A picture is [1,3,H,W] or [1,1,H,W] (or without leading ones), float or uint8; pixels go
 * the way back of clv_value_read, are clamped and rounded; NaN becomes 0. */
clv_status *clv_value_write(
    const char *path, const clv_view *view, const char *name,
    const clv_picture_scale *scale) CLV_CHECKED;

/* Several tensors into one .npz. */
clv_status *clv_values_write_npz(
    const char *path, const clv_view *views, const char *const *names, size_t count) CLV_CHECKED;

/* USAGE (with the known ones) where `path` has an ending that is not in the list above. To be asked
 * first, so that a long run does not fail at its end. */
clv_status *clv_value_check_path(const char *path) CLV_CHECKED;

#endif
