/* Pictures */
#include "host/base/random.h"
#include "io_helpers.h"
#include <math.h>
#include <png.h>

typedef struct picture {
    png_uint_32 width, height;
    int depth, color, interlace;
    const uint8_t *rows; /* packed as the file has them */
    size_t row_bytes;
    png_color palette[4];
    bool transparent;
} picture;

typedef struct buffer {
    uint8_t data[1 << 16];
    size_t count;
} buffer;

static void write_bytes(png_structp png, png_bytep data, size_t count) {
    buffer *b = png_get_io_ptr(png);
    assert_true(b->count + count <= sizeof b->data);
    memcpy(b->data + b->count, data, count);
    b->count += count;
}

/* The bytes of a PNG file, made by libpng. */
static void make_png(const picture *p, buffer *out) {
    out->count = 0;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, out, write_bytes, NULL);
    png_set_IHDR(
        png, info, p->width, p->height, p->depth, p->color, p->interlace,
        PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (p->color == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, p->palette, 4);
    }
    const png_byte alpha[4] = {0, 128, 255, 255};
    if (p->transparent) {
        png_set_tRNS(png, info, alpha, p->color == PNG_COLOR_TYPE_PALETTE ? 4 : 0, NULL);
    }
    png_bytep rows[64];
    assert_true(p->height <= 64);
    for (png_uint_32 y = 0; y < p->height; y++) {
        rows[y] = (png_bytep)(uintptr_t)(p->rows + y * p->row_bytes);
    }
    png_set_rows(png, info, rows);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
}

static clv_value *read_ok(const picture *p, const clv_wanted *want) {
    buffer b;
    make_png(p, &b);
    clv_value *value = NULL;
    uint8_t *copy = malloc(b.count);
    memcpy(copy, b.data, b.count);
    expect_ok(clv_png_read(copy, b.count, want, NULL, &value));
    free(copy);
    return value;
}

static void assert_elements(const clv_value *value, const double *expected, int64_t count) {
    assert_int_equal(clv_shape_elements(&value->shape), count);
    for (int64_t i = 0; i < count; i++) {
        double got = clv_load_double(value->dtype, value->data, i);
        if (fabs(got - expected[i]) > 1e-6) {
            fail_msg("element %lld is %.9g, not %.9g", (long long)i, got, expected[i]);
        }
    }
}

static const uint8_t rgb_pixels[12] = {255, 0, 51, 0, 102, 0, 204, 204, 204, 0, 0, 255};
static const picture rgb = {
    .width = 2,
    .height = 2,
    .depth = 8,
    .color = PNG_COLOR_TYPE_RGB,
    .rows = rgb_pixels,
    .row_bytes = 6};

static void colours_are_scaled_by_channel(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, 1, 3, CLV_DIM_FREE, CLV_DIM_FREE);
    clv_value *value = read_ok(&rgb, &want);
    ASSERT_SHAPE(value, 4, 1, 3, 2, 2);
    static const double expected[12] = {1, 0, 0.8, 0, 0, 0.4, 0.8, 0, 0.2, 0, 0.8, 1};
    assert_elements(value, expected, 12);
    clv_value_destroy(value);
}

static void luma_is_bt601(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, CLV_DIM_FREE, 1, 2, 2);
    clv_value *value = read_ok(&rgb, &want);
    ASSERT_SHAPE(value, 4, 1, 1, 2, 2);
    static const double expected[4] = {0.299 + 0.114 * 0.2, 0.587 * 0.4, 0.8, 0.114};
    assert_elements(value, expected, 4);
    clv_value_destroy(value);
}

static void uint8_is_raw(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_UINT8, 4, 1, 3, 2, 2);
    clv_value *value = read_ok(&rgb, &want);
    static const double expected[12] = {255, 0, 204, 0, 0, 102, 204, 0, 51, 0, 204, 255};
    assert_elements(value, expected, 12);
    clv_value_destroy(value);
}

static void uint8_survives_a_round_trip(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_UINT8, 4, 1, 3, 2, 2);
    clv_value *value = read_ok(&rgb, &want), *back = NULL;
    const clv_view view = clv_value_view(value);
    clv_text text;
    clv_text_init(&text);
    expect_ok(clv_png_write(&view, NULL, &text));
    expect_ok(clv_png_read((const uint8_t *)text.data, text.length, &want, NULL, &back));
    assert_memory_equal(back->data, value->data, 12);
    clv_text_deinit(&text);
    clv_value_destroy(value);
    clv_value_destroy(back);
}

static void mean_and_std_follow(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, 1, 3, 2, 2);
    const clv_picture_scale scale = {
        .mean = {0.5, 0.25, 0}, .std = {0.5}, .num_mean = 3, .num_std = 1};
    buffer b;
    make_png(&rgb, &b);
    clv_value *value = NULL;
    expect_ok(clv_png_read(b.data, b.count, &want, &scale, &value));
    static const double expected[12] = {1, -1, 0.6, -1, -0.5, 0.3, 1.1, -0.5, 0.4, 0, 1.6, 2};
    assert_elements(value, expected, 12);
    /* And back. */
    clv_text text;
    clv_text_init(&text);
    clv_view view = clv_value_view(value);
    expect_ok(clv_png_write(&view, &scale, &text));
    clv_value *back = NULL;
    expect_ok(clv_png_read((const uint8_t *)text.data, text.length, &want, &scale, &back));
    assert_memory_equal(back->data, value->data, 48);
    clv_text_deinit(&text);
    clv_value_destroy(back);
    clv_value_destroy(value);
    const clv_picture_scale two = {.mean = {0.5, 0.25}, .num_mean = 2};
    expect_failure(clv_png_read(b.data, b.count, &want, &two, &value), CLV_USAGE, "3 channels");
    const clv_picture_scale zero = {.std = {0}, .num_std = 1};
    expect_failure(clv_png_read(b.data, b.count, &want, &zero, &value), CLV_USAGE, "std is 0");
    const clv_wanted raw = WANTED(CLV_UINT8, 4, 1, 3, 2, 2);
    expect_failure(clv_png_read(b.data, b.count, &raw, &scale, &value), CLV_USAGE, "float");
}

/* Every kind of PNG of the same grey ramp or colours gives the same numbers. */
static void every_kind_of_png(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT64, 4, 1, 3, CLV_DIM_FREE, CLV_DIM_FREE);
    static const uint8_t grey1[2] = {0x40, 0x80}, grey2[2] = {0x10, 0xb0}, grey4[2] = {0x0f, 0x50};
    static const uint8_t grey16[8] = {0, 0, 0x80, 0x00, 0xff, 0xff, 0x12, 0x34};
    static const uint8_t grey_alpha[8] = {0, 9, 51, 0, 102, 255, 255, 1};
    static const uint8_t indexed[2] = {0x10, 0xb0}; /* 2 bits: 0 1, 2 3 */
    static const uint8_t rgba16[16] = {0xff, 0xff, 0,    0,    0x80, 0, 0, 0,
                                       0,    0,    0x33, 0x33, 0,    1, 1, 1};
    const png_color palette[4] = {{0, 0, 0}, {255, 0, 0}, {0, 51, 0}, {1, 2, 255}};
    const struct {
        picture p;
        double expected[12]; /* one channel where `grey` */
        bool grey;
    } cases[] = {
        {{2, 2, 1, PNG_COLOR_TYPE_GRAY, 0, grey1, 1}, {0, 1, 1, 0}, true},
        {{2, 2, 2, PNG_COLOR_TYPE_GRAY, 0, grey2, 1}, {0, 1 / 3.0, 2 / 3.0, 1}, true},
        {{2, 2, 4, PNG_COLOR_TYPE_GRAY, 0, grey4, 1}, {0, 1, 1 / 3.0, 0}, true},
        {{2, 2, 16, PNG_COLOR_TYPE_GRAY, 0, grey16, 4},
         {0, 32768 / 65535.0, 1, 4660 / 65535.0},
         true},
        {{2, 2, 8, PNG_COLOR_TYPE_GRAY_ALPHA, 0, grey_alpha, 4}, {0, 0.2, 0.4, 1}, true},
        {{2, 2, 2, PNG_COLOR_TYPE_PALETTE, 0, indexed, 1, {{0}}, false},
         {0, 1, 0, 1 / 255.0, 0, 0, 0.2, 2 / 255.0, 0, 0, 0, 1},
         false},
        {{2, 2, 2, PNG_COLOR_TYPE_PALETTE, 0, indexed, 1, {{0}}, true},
         {0, 1, 0, 1 / 255.0, 0, 0, 0.2, 2 / 255.0, 0, 0, 0, 1},
         false},
        {{2, 1, 16, PNG_COLOR_TYPE_RGB_ALPHA, 0, rgba16, 16},
         {1, 0, 0, 0.2, 32768 / 65535.0, 1 / 65535.0},
         false},
        {{2, 2, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, rgb_pixels, 6},
         {1, 0, 0.8, 0, 0, 0.4, 0.8, 0, 0.2, 0, 0.8, 1},
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        picture p = cases[i].p;
        memcpy(p.palette, palette, sizeof palette);
        clv_value *value = read_ok(&p, &want);
        int64_t pixels = (int64_t)p.width * p.height;
        for (int64_t k = 0; k < 3 * pixels; k++) {
            double expected = cases[i].expected[cases[i].grey ? k % pixels : k];
            double got = clv_load_double(value->dtype, value->data, k);
            if (fabs(got - expected) > 1e-12) {
                fail_msg("case %zu, element %lld: %.9g, not %.9g", i, (long long)k, got, expected);
            }
        }
        clv_value_destroy(value);
    }
}

static void interlaced_pictures_equal_plain_ones(void **state) {
    (void)state;
    static uint8_t pixels[37 * 41 * 3];
    clv_random random;
    clv_random_init(&random, 3);
    for (size_t i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)clv_random_next(&random);
    }
    picture p = {
        .width = 37,
        .height = 41,
        .depth = 8,
        .color = PNG_COLOR_TYPE_RGB,
        .rows = pixels,
        .row_bytes = 37 * 3};
    const clv_wanted want = WANTED(CLV_UINT8, 4, 1, 3, CLV_DIM_FREE, CLV_DIM_FREE);
    clv_value *plain = read_ok(&p, &want);
    p.interlace = PNG_INTERLACE_ADAM7;
    clv_value *interlaced = read_ok(&p, &want);
    ASSERT_SHAPE(plain, 4, 1, 3, 41, 37);
    assert_memory_equal(plain->data, interlaced->data, sizeof pixels);
    assert_int_equal(((const uint8_t *)plain->data)[37 * 41 + 38], pixels[(37 + 1) * 3 + 1]);
    clv_value_destroy(plain);
    clv_value_destroy(interlaced);
}

static void misfits_are_refused(void **state) {
    (void)state;
    buffer b;
    make_png(&rgb, &b);
    clv_value *value = NULL;
    const struct {
        clv_wanted want;
        const char *text;
    } cases[] = {
        {WANTED(CLV_FLOAT32, 4, 1, 3, 4, 2), "[1,3,4,2]"},
        {WANTED(CLV_FLOAT32, 4, 2, 3, 2, 2), "[2,3,2,2]"},
        {WANTED(CLV_FLOAT32, 4, 1, 4, 2, 2), "[1,4,2,2]"},
        {WANTED(CLV_FLOAT32, 4, 1, 2, 2, 3), "fits [1,3,H,W]"},
        {WANTED(CLV_FLOAT32, 2, 2, 2), "[2,2]"},
        {WANTED(CLV_INT64, 4, 1, 3, 2, 2), "int64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_failure(
            clv_png_read(b.data, b.count, &cases[i].want, NULL, &value), CLV_MALFORMED,
            cases[i].text);
        assert_null(value);
    }
}

/* Sets the size in the header of a PNG, with the right checksum. */
static void resize(buffer *b, uint32_t width, uint32_t height) {
    for (int i = 0; i < 4; i++) {
        b->data[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        b->data[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    uint32_t crc = 0xffffffff;
    for (int i = 12; i < 29; i++) {
        crc ^= b->data[i];
        for (int k = 0; k < 8; k++) {
            crc = (crc >> 1) ^ (0xedb88320 & (0 - (crc & 1)));
        }
    }
    crc = ~crc;
    for (int i = 0; i < 4; i++) {
        b->data[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

static void huge_pictures_are_refused(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, 1, 3, CLV_DIM_FREE, CLV_DIM_FREE);
    const struct {
        uint32_t width, height;
        clv_code code;
        const char *text;
    } cases[] = {
        {100000, 100000, CLV_UNSUPPORTED, "100000 x 100000"},
        {16384, 16384, CLV_MALFORMED, "too short for a picture of 16384 x 16384"},
        {2000000000, 2, CLV_MALFORMED, "not a valid PNG"},
        {0, 0, CLV_MALFORMED, "not a valid PNG"},
        {40, 40, CLV_MALFORMED, "not a valid PNG"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer b;
        make_png(&rgb, &b);
        resize(&b, cases[i].width, cases[i].height);
        clv_value *value = NULL;
        expect_failure(
            clv_png_read(b.data, b.count, &want, NULL, &value), cases[i].code, cases[i].text);
    }
}

static void damaged_pictures_are_refused(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, 1, 3, CLV_DIM_FREE, CLV_DIM_FREE);
    buffer b;
    make_png(&rgb, &b);
    clv_value *value = NULL;
    for (size_t count = 0; count < b.count; count++) {
        uint8_t *copy = malloc(count + 1);
        memcpy(copy, b.data, count);
        clv_status *status = clv_png_read(copy, count, &want, NULL, &value);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        clv_status_destroy(status);
        free(copy);
    }
    for (size_t bit = 0; bit < b.count * 8; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        clv_status *status = clv_png_read(b.data, b.count, &want, NULL, &value);
        clv_value_destroy(value);
        value = NULL;
        clv_status_destroy(status);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    static const uint8_t text[] = "this is no picture";
    expect_failure(
        clv_png_read(text, sizeof text, &want, NULL, &value), CLV_MALFORMED, "not a PNG picture");
}

static void pixels_are_clamped_and_rounded(void **state) {
    (void)state;
    const float pixels[8] = {-1.0f, 0.0f, 0.5f, 1.0f, 2.0f, NAN, INFINITY, 0.999f};
    const clv_view view = {
        .dtype = CLV_FLOAT32, .shape = {.rank = 2, .dims = {2, 4}}, .data = pixels};
    clv_text text;
    clv_text_init(&text);
    expect_ok(clv_png_write(&view, NULL, &text));
    const clv_wanted want = WANTED(CLV_UINT8, 4, 1, 1, 2, 4);
    clv_value *value = NULL;
    expect_ok(clv_png_read((const uint8_t *)text.data, text.length, &want, NULL, &value));
    static const double expected[8] = {0, 0, 128, 255, 255, 0, 255, 255};
    assert_elements(value, expected, 8);
    clv_value_destroy(value);
    clv_text_deinit(&text);
    const clv_view flat = {.dtype = CLV_FLOAT32, .shape = {.rank = 1, .dims = {8}}, .data = pixels};
    const clv_view pair = {
        .dtype = CLV_FLOAT32, .shape = {.rank = 4, .dims = {2, 1, 2, 2}}, .data = pixels};
    const clv_view whole = {
        .dtype = CLV_INT32, .shape = {.rank = 2, .dims = {2, 4}}, .data = pixels};
    expect_failure(clv_png_write(&flat, NULL, &text), CLV_USAGE, "[8] is no picture");
    expect_failure(clv_png_write(&pair, NULL, &text), CLV_USAGE, "[2,1,2,2]");
    expect_failure(clv_png_write(&whole, NULL, &text), CLV_USAGE, "int32");
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    const clv_wanted want = WANTED(CLV_FLOAT32, 4, 1, 3, CLV_DIM_FREE, CLV_DIM_FREE);
    buffer b;
    make_png(&rgb, &b);
    bool done = false;
    for (int64_t n = 0; !done; n++) {
        clv_value *value = NULL;
        clv_memory_fail_at(n);
        clv_status *status = clv_png_read(b.data, b.count, &want, NULL, &value);
        clv_memory_fail_at(-1);
        done = status == NULL;
        assert_true(done || clv_status_code(status) == CLV_NO_MEMORY);
        assert_true(done == (value != NULL));
        if (done) {
            clv_text text;
            clv_text_init(&text);
            clv_view view = clv_value_view(value);
            expect_ok(clv_png_write(&view, NULL, &text));
            clv_text_deinit(&text);
            assert_true(n > 3);
        }
        clv_status_destroy(status);
        clv_value_destroy(value);
    }
    const clv_wanted filled = WANTED(CLV_FLOAT32, 4, 1, 3, 4, 4);
    clv_value *value = NULL;
    expect_ok(clv_value_fill(&filled, CLV_FILL_RANDOM, 0, &value));
    done = false;
    for (int64_t n = 0; !done; n++) {
        clv_text text;
        clv_text_init(&text);
        clv_view view = clv_value_view(value);
        clv_memory_fail_at(n);
        clv_status *status = clv_png_write(&view, NULL, &text);
        clv_memory_fail_at(-1);
        done = status == NULL;
        assert_true(done || clv_status_code(status) == CLV_NO_MEMORY);
        clv_status_destroy(status);
        clv_text_deinit(&text);
    }
    clv_value_destroy(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_are_scaled_by_channel),
        cmocka_unit_test(luma_is_bt601),
        cmocka_unit_test(uint8_is_raw),
        cmocka_unit_test(uint8_survives_a_round_trip),
        cmocka_unit_test(mean_and_std_follow),
        cmocka_unit_test(every_kind_of_png),
        cmocka_unit_test(interlaced_pictures_equal_plain_ones),
        cmocka_unit_test(misfits_are_refused),
        cmocka_unit_test(huge_pictures_are_refused),
        cmocka_unit_test(damaged_pictures_are_refused),
        cmocka_unit_test(pixels_are_clamped_and_rounded),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
