/* Tensors into pictures, by libpng. */
#include "host/io/formats.h"

#include "host/base/memory.h"
#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

typedef struct writer {
    png_structp png;
    png_infop info;
    jmp_buf on_error;
    char message[160];
    clv_text *out;
    uint8_t *row;
    /* the tensor */
    clv_view view;
    size_t channels, height, width;
    double mean[3], std[3];
} writer;

static void on_error(png_structp png, png_const_charp message) {
    writer *w = png_get_error_ptr(png);
    snprintf(w->message, sizeof w->message, "%s", message);
    longjmp(w->on_error, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static png_voidp allocate(png_structp png, png_alloc_size_t bytes) {
    (void)png;
    return clv_alloc(bytes);
}

static void release(png_structp png, png_voidp block) {
    (void)png;
    clv_free(block);
}

static void write_bytes(png_structp png, png_bytep data, size_t count) {
    writer *w = png_get_io_ptr(png);
    clv_text_add_bytes(w->out, (const char *)data, count);
    if (w->out->failed) {
        png_error(png, "out of host memory");
    }
}

static void flush_bytes(png_structp png) {
    (void)png;
}

/* One row of pixels, channels side by side. */
static void fill_row(writer *w, size_t y) {
    for (size_t x = 0; x < w->width; x++) {
        for (size_t c = 0; c < w->channels; c++) {
            int64_t index = (int64_t)((c * w->height + y) * w->width + x);
            uint8_t *pixel = &w->row[x * w->channels + c];
            if (w->view.dtype == CLV_UINT8) {
                *pixel = ((const uint8_t *)w->view.data)[index];
                continue;
            }
            double value = clv_load_double(w->view.dtype, w->view.data, index);
            value = (value * w->std[c] + w->mean[c]) * 255.0;
            *pixel = value >= 255.0 ? 255 : value > 0.0 ? (uint8_t)lrint(value) : 0;
        }
    }
}

/* The steps that may jump; whatever they leave behind lies in the writer. */
static bool write_picture(writer *w) {
    if (setjmp(w->on_error) != 0) {
        return false;
    }
    w->png = png_create_write_struct_2(
        PNG_LIBPNG_VER_STRING, w, on_error, on_warning, NULL, allocate, release);
    w->info = w->png != NULL ? png_create_info_struct(w->png) : NULL;
    if (w->info == NULL) {
        return false;
    }
    png_set_write_fn(w->png, w, write_bytes, flush_bytes);
    png_set_user_limits(w->png, INT32_MAX, INT32_MAX);
    int color = w->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
    png_set_IHDR(
        w->png, w->info, (png_uint_32)w->width, (png_uint_32)w->height, 8, color,
        PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (size_t y = 0; y < w->height; y++) {
        fill_row(w, y);
        png_write_row(w->png, w->row);
    }
    png_write_end(w->png, NULL);
    return true;
}

/* [1,3,H,W], [3,H,W], [1,1,H,W], [1,H,W] or [H,W]. */
static clv_status *check_picture(const clv_view *view, writer *w) {
    const clv_shape *shape = &view->shape;
    int rank = shape->rank;
    bool fits = rank >= 2 && rank <= 4;
    if (fits) {
        w->height = (size_t)shape->dims[rank - 2];
        w->width = (size_t)shape->dims[rank - 1];
        w->channels = rank >= 3 ? (size_t)shape->dims[rank - 3] : 1;
        fits = (w->channels == 1 || w->channels == 3) && w->height > 0 && w->width > 0 &&
               (rank < 4 || shape->dims[0] == 1);
    }
    fits = fits && (clv_dtype_is_float(view->dtype) || view->dtype == CLV_UINT8);
    if (!fits) {
        char text[CLV_SHAPE_TEXT];
        return CLV_ERROR(
            USAGE,
            "%s %s is no picture: that needs floats or uint8 of shape [1,3,H,W] or "
            "[1,1,H,W]",
            clv_dtype_name(view->dtype), clv_shape_format(shape, text));
    }
    return NULL;
}

clv_status *clv_png_write(
    const clv_view *view, const clv_picture_scale *scale, clv_text *out_bytes) {
    writer w = {.out = out_bytes, .view = *view};
    clv_status *status = NULL;
    CLV_TRY_DONE(check_picture(view, &w));
    CLV_TRY_DONE(clv_picture_scale_expand(scale, view->dtype, w.channels, w.mean, w.std));
    w.row = clv_alloc_zeroed(w.width, w.channels);
    if (w.row == NULL || !write_picture(&w)) {
        const char *reason = w.message[0] != '\0' ? w.message : "out of host memory";
        status = CLV_ERROR(NO_MEMORY, "cannot write a picture: %s", reason);
    }
done:
    png_destroy_write_struct(&w.png, &w.info);
    clv_free(w.row);
    return status;
}
