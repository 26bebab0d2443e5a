/* Pictures into tensors, by libpng. */
#include "host/io/formats.h"

#include "host/base/memory.h"
#include <png.h>
#include <setjmp.h>
#include <string.h>

enum {
    MAX_PIXELS = 1 << 28, /* 16384 x 16384: 3 GiB as float RGB */
    MAX_SIDE = 1 << 20,
    DEFLATE_MAX_RATIO = 1032,  /* as in npz.c */
    MAX_CHUNK_BYTES = 8 << 20, /* of text, profiles and the like */
};

typedef struct reader {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t bytes, position;
    jmp_buf on_error;
    bool no_memory;
    char message[160];
    png_uint_32 width, height;
    int depth;       /* bits: 8 or 16 */
    size_t channels; /* 1 or 3 */
    size_t row_bytes;
    uint8_t *pixels; /* [height][row_bytes] */
    png_bytep *rows;
} reader;

static void on_error(png_structp png, png_const_charp message) {
    reader *r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(r->on_error, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static png_voidp allocate(png_structp png, png_alloc_size_t bytes) {
    reader *r = png_get_mem_ptr(png);
    void *block = clv_alloc(bytes);
    r->no_memory |= block == NULL;
    return block;
}

static void release(png_structp png, png_voidp block) {
    (void)png;
    clv_free(block);
}

static void read_bytes(png_structp png, png_bytep out, size_t count) {
    reader *r = png_get_io_ptr(png);
    if (count > r->bytes - r->position) {
        png_error(png, "the file is cut off");
    }
    memcpy(out, r->data + r->position, count);
    r->position += count;
}

/* The steps that may jump; whatever they leave behind lies in the reader. */

static bool read_header(reader *r) {
    if (setjmp(r->on_error) != 0) {
        return false;
    }
    r->png = png_create_read_struct_2(
        PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, allocate, release);
    r->info = r->png != NULL ? png_create_info_struct(r->png) : NULL;
    if (r->info == NULL) {
        r->no_memory = true;
        return false;
    }
    png_set_user_limits(r->png, MAX_SIDE, MAX_SIDE);
    png_set_chunk_malloc_max(r->png, MAX_CHUNK_BYTES);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
    int color = png_get_color_type(r->png, r->info);
    r->width = png_get_image_width(r->png, r->info);
    r->height = png_get_image_height(r->png, r->info);
    if (color == PNG_COLOR_TYPE_PALETTE) {
        png_set_palette_to_rgb(r->png);
    } else if (color == PNG_COLOR_TYPE_GRAY) {
        png_set_expand_gray_1_2_4_to_8(r->png);
    }
    png_set_strip_alpha(r->png);
    png_set_swap(r->png); /* 16-bit samples in this machine's order */
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    r->depth = png_get_bit_depth(r->png, r->info);
    r->channels = png_get_channels(r->png, r->info);
    r->row_bytes = png_get_rowbytes(r->png, r->info);
    return true;
}

static bool read_pixels(reader *r) {
    if (setjmp(r->on_error) != 0) {
        return false;
    }
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
    return true;
}

static clv_status *reader_failed(const reader *r) {
    if (r->no_memory) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a picture");
    }
    return CLV_ERROR(MALFORMED, "not a valid PNG picture: %s", r->message);
}

static clv_status *check_size(const reader *r) {
    uint64_t pixels = (uint64_t)r->width * r->height;
    if (pixels > MAX_PIXELS) {
        return CLV_ERROR(
            UNSUPPORTED, "the picture is %u x %u pixels: more than %d pixels are not read",
            (unsigned)r->width, (unsigned)r->height, MAX_PIXELS);
    }
    /* The file's rows are at least a 32nd of what they are expanded to (1-bit palettes to RGB). */
    uint64_t least = (uint64_t)r->row_bytes * r->height / 32;
    if (least / DEFLATE_MAX_RATIO > r->bytes) {
        return CLV_ERROR(
            MALFORMED, "the file is too short for a picture of %u x %u pixels", (unsigned)r->width,
            (unsigned)r->height);
    }
    return NULL;
}

static clv_status *decode(reader *r) {
    if (r->bytes < 8 || png_sig_cmp(r->data, 0, 8) != 0) {
        return CLV_ERROR(MALFORMED, "not a PNG picture");
    }
    if (!read_header(r)) {
        return reader_failed(r);
    }
    CLV_TRY(check_size(r));
    r->pixels = clv_alloc_zeroed(r->height, r->row_bytes);
    r->rows = clv_alloc_zeroed(r->height, sizeof *r->rows);
    if (r->pixels == NULL || r->rows == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for a picture");
    }
    for (png_uint_32 y = 0; y < r->height; y++) {
        r->rows[y] = r->pixels + (size_t)y * r->row_bytes;
    }
    return read_pixels(r) ? NULL : reader_failed(r);
}

static void reader_deinit(reader *r) {
    png_destroy_read_struct(&r->png, &r->info, NULL);
    clv_free(r->pixels);
    clv_free(r->rows);
}

/* --- pixels to elements --- */

/* Sample `c` of a pixel as 0..1; a grey picture has the same for all. */
static double sample(const reader *r, size_t y, size_t x, size_t c) {
    size_t index = x * r->channels + (r->channels == 1 ? 0 : c);
    const uint8_t *row = r->pixels + y * r->row_bytes;
    if (r->depth == 16) {
        uint16_t word;
        memcpy(&word, row + index * 2, sizeof word);
        return word / 65535.0;
    }
    return row[index] / 255.0;
}

static double luma(const reader *r, size_t y, size_t x) {
    if (r->channels == 1) {
        return sample(r, y, x, 0);
    }
    return 0.299 * sample(r, y, x, 0) + 0.587 * sample(r, y, x, 1) + 0.114 * sample(r, y, x, 2);
}

static void store_pixels(
    const reader *r, size_t channels, const double mean[3], const double std[3], clv_value *value) {
    int64_t index = 0;
    for (size_t c = 0; c < channels; c++) {
        for (size_t y = 0; y < r->height; y++) {
            for (size_t x = 0; x < r->width; x++, index++) {
                double pixel = channels == 1 ? luma(r, y, x) : sample(r, y, x, c);
                if (value->dtype == CLV_UINT8) {
                    ((uint8_t *)value->data)[index] = (uint8_t)(pixel * 255.0 + 0.5);
                } else {
                    clv_store_double(value->dtype, value->data, index, (pixel - mean[c]) / std[c]);
                }
            }
        }
    }
}

/* The tensor that a picture of this size makes of what is wanted. */
static clv_status *fit(const clv_wanted *wanted, const reader *r, clv_shape *out_shape) {
    const clv_shape *shape = &wanted->shape;
    int64_t channels = shape->rank == 4 && shape->dims[1] == 1 ? 1 : 3;
    *out_shape =
        (clv_shape){.rank = 4, .dims = {1, channels, (int64_t)r->height, (int64_t)r->width}};
    bool fits = shape->rank < 0 || shape->rank == 4;
    for (int i = 0; fits && i < 4 && shape->rank == 4; i++) {
        fits = shape->dims[i] == CLV_DIM_FREE || shape->dims[i] == out_shape->dims[i];
    }
    if (!fits) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            MALFORMED,
            "the picture is %u wide and %u high; '%s' needs %s (a picture fits [1,3,H,W] and "
            "[1,1,H,W])",
            (unsigned)r->width, (unsigned)r->height, wanted->name, clv_shape_format(shape, text));
    }
    if (!clv_dtype_is_float(wanted->dtype) && wanted->dtype != CLV_UINT8) {
        return CLV_ERROR(
            MALFORMED, "'%s' needs %s; a picture makes floats or uint8", wanted->name,
            clv_dtype_name(wanted->dtype));
    }
    return NULL;
}

clv_status *clv_picture_scale_expand(
    const clv_picture_scale *scale, clv_dtype dtype, size_t channels, double out_mean[3],
    double out_std[3]) {
    const clv_picture_scale none = {0};
    scale = scale != NULL ? scale : &none;
    if ((scale->num_mean > 0 || scale->num_std > 0) && !clv_dtype_is_float(dtype)) {
        return CLV_ERROR(
            USAGE, "mean and std are for float tensors, this one is %s", clv_dtype_name(dtype));
    }
    if ((scale->num_mean > 1 && scale->num_mean != channels) ||
        (scale->num_std > 1 && scale->num_std != channels)) {
        return CLV_ERROR(
            USAGE, "%zu numbers for mean and %zu for std: %zu channels need 1 or %zu",
            scale->num_mean, scale->num_std, channels, channels);
    }
    for (size_t c = 0; c < channels && c < 3; c++) {
        out_mean[c] = scale->num_mean == 0 ? 0.0 : scale->mean[scale->num_mean > 1 ? c : 0];
        out_std[c] = scale->num_std == 0 ? 1.0 : scale->std[scale->num_std > 1 ? c : 0];
        if (out_std[c] == 0.0) {
            return CLV_ERROR(USAGE, "std is 0");
        }
    }
    return NULL;
}

clv_status *clv_png_read(
    const uint8_t *data, size_t bytes, const clv_wanted *wanted, const clv_picture_scale *scale,
    clv_value **out_value) {
    *out_value = NULL;
    reader r = {.data = data, .bytes = bytes};
    clv_shape shape;
    double mean[3] = {0}, std[3] = {0};
    clv_status *status = NULL;
    CLV_TRY_DONE(decode(&r));
    CLV_TRY_DONE(fit(wanted, &r, &shape));
    size_t channels = (size_t)shape.dims[1];
    CLV_TRY_DONE(clv_picture_scale_expand(scale, wanted->dtype, channels, mean, std));
    CLV_TRY_DONE(clv_value_create(wanted->dtype, &shape, out_value));
    store_pixels(&r, channels, mean, std, *out_value);
done:
    reader_deinit(&r);
    return status;
}
