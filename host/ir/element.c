/* One element of a tensor as a number. Data may be unaligned, so every access goes through memcpy.
 */
#include "host/ir/tensor.h"

#include <math.h>
#include <string.h>

/* A binary floating-point type narrower than double: 1 sign bit, then exponent and fraction. */
typedef struct narrow_format {
    int exponent_bits, fraction_bits;
} narrow_format;

static const narrow_format half_format = {.exponent_bits = 5, .fraction_bits = 10};
static const narrow_format bfloat_format = {.exponent_bits = 8, .fraction_bits = 7};

static double decode_narrow(narrow_format format, uint16_t bits) {
    int bias = (1 << (format.exponent_bits - 1)) - 1;
    int exponent = (bits >> format.fraction_bits) & ((1 << format.exponent_bits) - 1);
    int fraction = bits & ((1 << format.fraction_bits) - 1);
    double magnitude;
    if (exponent == (1 << format.exponent_bits) - 1) {
        magnitude = fraction != 0 ? (double)NAN : (double)INFINITY;
    } else if (exponent == 0) {
        magnitude = ldexp(fraction, 1 - bias - format.fraction_bits);
    } else {
        int significand = fraction | 1 << format.fraction_bits;
        magnitude = ldexp(significand, exponent - bias - format.fraction_bits);
    }
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

/* Rounds once, to nearest, ties to even: scaled by a power of two (exactly) until the narrow type's
 * spacing is 1, the number becomes an integer in the default rounding mode. */
static uint16_t encode_narrow(narrow_format format, double value) {
    int bias = (1 << (format.exponent_bits - 1)) - 1;
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    uint16_t infinity = (uint16_t)(((1 << format.exponent_bits) - 1) << format.fraction_bits);
    double magnitude = fabs(value);
    if (isnan(magnitude)) {
        return (uint16_t)(sign | infinity | 1 << (format.fraction_bits - 1));
    }
    if (magnitude >= ldexp(1.0, bias + 1)) {
        return sign | infinity;
    }
    int exponent;
    frexp(magnitude, &exponent); /* magnitude = f * 2^exponent, 0.5 <= f < 1 */
    exponent -= 1;
    if (exponent < 1 - bias || magnitude == 0) {
        exponent = 1 - bias; /* subnormals have the spacing of the smallest normal numbers */
    }
    double steps = ldexp(magnitude, format.fraction_bits - exponent);
    uint32_t rounded = (uint32_t)nearbyint(steps);
    /* A significand that rounds up to the next power of two carries into the exponent by itself,
     * from the subnormals to the normals and from the largest number to infinity as well. */
    uint32_t base = (uint32_t)(exponent + bias - 1) << format.fraction_bits;
    return (uint16_t)(sign | (base + rounded));
}

#define LOAD(type, data, index) \
    type value;                 \
    memcpy(&value, (const unsigned char *)(data) + (size_t)(index) * sizeof(type), sizeof value)

/* Truncates towards zero, then wraps modulo 2^64; NaN and infinities give 0. */
static int64_t wrap_double(double value) {
    if (!isfinite(value)) {
        return 0;
    }
    double whole = trunc(value);
    if (whole >= -0x1p63 && whole < 0x1p63) {
        return (int64_t)whole;
    }
    double rest = fmod(whole, 0x1p64);
    uint64_t magnitude = (uint64_t)fabs(rest);
    return (int64_t)(rest < 0 ? 0 - magnitude : magnitude);
}

double clv_load_double(clv_dtype dtype, const void *data, int64_t index) {
    switch (dtype) {
    case CLV_FLOAT32: {
        LOAD(float, data, index);
        return (double)value;
    }
    case CLV_FLOAT64: {
        LOAD(double, data, index);
        return value;
    }
    case CLV_FLOAT16: {
        LOAD(uint16_t, data, index);
        return decode_narrow(half_format, value);
    }
    case CLV_BFLOAT16: {
        LOAD(uint16_t, data, index);
        return decode_narrow(bfloat_format, value);
    }
    case CLV_UINT64: {
        LOAD(uint64_t, data, index);
        return (double)value;
    }
    default:
        return (double)clv_load_int64(dtype, data, index);
    }
}

int64_t clv_load_int64(clv_dtype dtype, const void *data, int64_t index) {
    switch (dtype) {
    case CLV_BOOL: {
        LOAD(uint8_t, data, index);
        return value != 0;
    }
    case CLV_UINT8: {
        LOAD(uint8_t, data, index);
        return value;
    }
    case CLV_INT8: {
        LOAD(int8_t, data, index);
        return value;
    }
    case CLV_UINT16: {
        LOAD(uint16_t, data, index);
        return value;
    }
    case CLV_INT16: {
        LOAD(int16_t, data, index);
        return value;
    }
    case CLV_UINT32: {
        LOAD(uint32_t, data, index);
        return value;
    }
    case CLV_INT32: {
        LOAD(int32_t, data, index);
        return value;
    }
    case CLV_UINT64: /* the same bits */
    case CLV_INT64: {
        LOAD(int64_t, data, index);
        return value;
    }
    case CLV_FLOAT32:
    case CLV_FLOAT64:
    case CLV_FLOAT16:
    case CLV_BFLOAT16:
        return wrap_double(clv_load_double(dtype, data, index));
    default:
        return 0;
    }
}

static void store_bytes(void *data, int64_t index, const void *value, size_t bytes) {
    memcpy((unsigned char *)data + (size_t)index * bytes, value, bytes);
}

/* float's own conversion, but with what is too large going to infinity as IEEE 754 has it, where C
 * leaves it undefined. */
static float narrow_to_float(double value) {
    if (fabs(value) >= 0x1.ffffffp127 && !isnan(value)) {
        return value < 0 ? -INFINITY : INFINITY;
    }
    return (float)value;
}

void clv_store_double(clv_dtype dtype, void *data, int64_t index, double value) {
    switch (dtype) {
    case CLV_FLOAT32: {
        float narrow = narrow_to_float(value);
        store_bytes(data, index, &narrow, sizeof narrow);
        break;
    }
    case CLV_FLOAT64:
        store_bytes(data, index, &value, sizeof value);
        break;
    case CLV_FLOAT16: {
        uint16_t bits = encode_narrow(half_format, value);
        store_bytes(data, index, &bits, sizeof bits);
        break;
    }
    case CLV_BFLOAT16: {
        uint16_t bits = encode_narrow(bfloat_format, value);
        store_bytes(data, index, &bits, sizeof bits);
        break;
    }
    case CLV_BOOL: {
        uint8_t truth = value != 0;
        store_bytes(data, index, &truth, sizeof truth);
        break;
    }
    default:
        clv_store_int64(dtype, data, index, wrap_double(value));
        break;
    }
}

/* Of more than 53 bits, the ones that do not fit into a double become one sticky bit, so that a
 * later rounding to fewer bits rounds the number itself and not a rounded one. */
static double round_to_odd(int64_t value) {
    const int64_t dropped = 0x3ff; /* 63 - 53 bits */
    if (value < -(INT64_C(1) << 53) || value > INT64_C(1) << 53) {
        int64_t sticky = (value & dropped) != 0 ? dropped + 1 : 0;
        value = (value & ~dropped) | sticky;
    }
    return (double)value;
}

void clv_store_int64(clv_dtype dtype, void *data, int64_t index, int64_t value) {
    switch (dtype) {
    case CLV_BOOL: {
        uint8_t truth = value != 0;
        store_bytes(data, index, &truth, sizeof truth);
        break;
    }
    case CLV_UINT8:
    case CLV_INT8: {
        uint8_t narrow = (uint8_t)value;
        store_bytes(data, index, &narrow, sizeof narrow);
        break;
    }
    case CLV_UINT16:
    case CLV_INT16: {
        uint16_t narrow = (uint16_t)value;
        store_bytes(data, index, &narrow, sizeof narrow);
        break;
    }
    case CLV_UINT32:
    case CLV_INT32: {
        uint32_t narrow = (uint32_t)value;
        store_bytes(data, index, &narrow, sizeof narrow);
        break;
    }
    case CLV_UINT64:
    case CLV_INT64:
        store_bytes(data, index, &value, sizeof value);
        break;
    case CLV_FLOAT32: { /* by one rounding, not by way of double */
        float narrow = (float)value;
        store_bytes(data, index, &narrow, sizeof narrow);
        break;
    }
    case CLV_FLOAT64:
        clv_store_double(dtype, data, index, (double)value);
        break;
    case CLV_FLOAT16:
    case CLV_BFLOAT16:
        clv_store_double(dtype, data, index, round_to_odd(value));
        break;
    default:
        break;
    }
}

/* As bits, floats of one sign have the order of integers. */
enum {
    HALF_INFINITY = 0x477ff000, /* what rounds beyond 65504: from 65520 on */
    HALF_NORMAL = 0x38800000,   /* 2^-14, the least normal float16 */
    HALF_BIAS = 112 << 23,
};

uint16_t clv_half_from_float(float value) {
    const float half = 0.5f;
    uint32_t bits, half_bits, low_bits;
    memcpy(&bits, &value, sizeof bits);
    memcpy(&half_bits, &half, sizeof half_bits);
    const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    /* Next to 0.5, floats are as far apart as subnormal float16: the sum rounds as they do. */
    const float low = fabsf(value) + half;
    memcpy(&low_bits, &low, sizeof low_bits);
    /* A significand that rounds up carries into the exponent. */
    const uint32_t normal = (magnitude - HALF_BIAS + 0xfff + (magnitude >> 13 & 1)) >> 13;
    uint32_t result = magnitude < HALF_NORMAL ? low_bits - half_bits : normal;
    result = magnitude >= HALF_INFINITY ? 0x7c00 : result;
    result = magnitude > 0x7f800000 ? 0x7e00 : result;
    return (uint16_t)(sign | result);
}

bool clv_half_holds(const void *data, int64_t count) {
    enum { BLOCK = 4096 };
    uint32_t block[BLOCK], most = 0;
    for (int64_t i = 0; i < count && most < HALF_INFINITY; i += BLOCK) {
        const int64_t here = count - i < BLOCK ? count - i : BLOCK;
        memcpy(
            block, (const char *)data + i * (int64_t)sizeof(float), (size_t)here * sizeof(float));
        for (int64_t j = 0; j < here; j++) {
            const uint32_t magnitude = block[j] & 0x7fffffff;
            most = most > magnitude ? most : magnitude;
        }
    }
    return most < HALF_INFINITY;
}
