/* The formats, on bytes in memory: what tensor_file.c dispatches to and fuzzers call. */
#ifndef CLV_IO_FORMATS_H
#define CLV_IO_FORMATS_H

#include "host/base/text.h"
#include "host/io/tensor_file.h"

/* What the header of an .npy says. */
typedef struct clv_npy_header {
    clv_dtype dtype;
    clv_shape shape;
    bool is_big_endian, is_fortran;
    size_t data_offset; /* where elements begin */
} clv_npy_header;

/* `bytes` may end anywhere behind the header. */
clv_status *clv_npy_read_header(const uint8_t *data, size_t bytes, clv_npy_header *out_header)
    CLV_CHECKED;
/* Puts elements as they are in the file, at `data`, into C order and this machine's byte order. */
void clv_npy_convert(const clv_npy_header *header, const uint8_t *data, void *out_elements);
/* The longest header that is read. */
enum { CLV_NPY_MAX_HEADER = 1 << 16 };

clv_status *clv_npy_read(const uint8_t *data, size_t bytes, clv_value **out_value) CLV_CHECKED;
clv_status *clv_npy_write(const clv_view *view, clv_text *out_bytes) CLV_CHECKED;

clv_status *clv_npz_read(
    const uint8_t *data, size_t bytes, const char *entry, clv_value **out_value) CLV_CHECKED;
/* The whole file, to be freed with clv_free. */
clv_status *clv_npz_write(
    const clv_view *views, const char *const *names, size_t count, void **out_data,
    size_t *out_bytes) CLV_CHECKED;

clv_status *clv_png_read(
    const uint8_t *data, size_t bytes, const clv_wanted *wanted, const clv_picture_scale *scale,
    clv_value **out_value) CLV_CHECKED;
clv_status *clv_png_write(const clv_view *view, const clv_picture_scale *scale, clv_text *out_bytes)
    CLV_CHECKED;
/* USAGE where the scale does not fit; the numbers for each channel otherwise. */
clv_status *clv_picture_scale_expand(
    const clv_picture_scale *scale, clv_dtype dtype, size_t channels, double out_mean[3],
    double out_std[3]) CLV_CHECKED;

clv_status *clv_pb_read(const uint8_t *data, size_t bytes, clv_value **out_value) CLV_CHECKED;

#endif
