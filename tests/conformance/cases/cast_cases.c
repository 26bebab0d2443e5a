/* Cast between every two element types, in range and far out of it. */
#include "tests/conformance/case.h"

#define CAST(from, code) \
    { .op = "Cast", .inputs = from, .attrs = "to=" #code, .rtol = 1e-30, .atol = 1e-30 }
#define CAST_TO_ALL(from)                                                                     \
    CAST(from, 1), CAST(from, 2), CAST(from, 3), CAST(from, 4), CAST(from, 5), CAST(from, 6), \
        CAST(from, 7), CAST(from, 9), CAST(from, 10), CAST(from, 11), CAST(from, 12),         \
        CAST(from, 13), CAST(from, 16)

static const clv_case cases[] = {
    CAST_TO_ALL("f32[2,300]~-300:300"),
    CAST_TO_ALL("f32[200]~special"),
    CAST_TO_ALL("f32[60]~-1e20:1e20"),
    CAST_TO_ALL("f64[300]~-70000:70000"),
    CAST_TO_ALL("f64[200]~special"),
    CAST_TO_ALL("f64[9]{1e-320,0,-0.5,0.5,1.00048828125000001,1e300,-1e300,65519.999999,nan}"),
    CAST_TO_ALL("f16[300]~-1000:1000"),
    CAST_TO_ALL("f16[200]~special"),
    CAST_TO_ALL("bf16[300]~-1000:1000"),
    CAST_TO_ALL("bf16[200]~special"),
    CAST_TO_ALL("i8[300]~-128:127"),
    CAST_TO_ALL("i16[300]~-32768:32767"),
    CAST_TO_ALL("i32[300]~-2147483648:2147483647"),
    CAST_TO_ALL("i64[300]~-4000000000000000000:4000000000000000000"),
    CAST_TO_ALL("i64[]{-1}"),
    CAST_TO_ALL("u8[300]~0:255"),
    CAST_TO_ALL("u16[300]~0:65535"),
    CAST_TO_ALL("u32[300]~0:4294967295"),
    CAST_TO_ALL("u64[4]{18446744073709551615,9223372036854775808,0,18446744073709549569}"),
    CAST_TO_ALL("bool[300]"),
    CAST_TO_ALL("f32[0]"),

    {.op = "Cast",
     .inputs = "f32[4]{1.9,-1.9,0.5,nan}",
     .attrs = "to=6",
     .want = "i32[4]{1,-1,0,0}"},
    {.op = "Cast", .inputs = "f32[3]{1e10,-1e10,300}", .attrs = "to=2", .want = "u8[3]{255,0,255}"},
    {.op = "Cast", .inputs = "i32[3]{256,-1,300}", .attrs = "to=2", .want = "u8[3]{0,255,44}"},
    {.op = "Cast", .inputs = "f32[4]{0,-0.25,nan,2}", .attrs = "to=9", .want = "bool[4]{0,1,1,1}"},
    {.op = "Cast", .inputs = "f32[3]{1,65520,1e-8}", .attrs = "to=10", .want = "f16[3]{1,inf,0}"},
    {.op = "Cast", .inputs = "f32[3]", .error = CLV_MALFORMED, .message = "'to' is missing"},
    {.op = "Cast",
     .inputs = "f32[3]",
     .attrs = "to=8",
     .error = CLV_UNSUPPORTED,
     .message = "type 8"},
    {.op = "Cast",
     .inputs = "f32[3]",
     .attrs = "to=17",
     .error = CLV_UNSUPPORTED,
     .message = "type 17"},

    {.op = "CastLike", .inputs = "f32[2,300] i64[1,2,3,4]"},
    {.op = "CastLike", .inputs = "i64[2,300] f32[]"},
    {.op = "CastLike", .inputs = "u8[4] bool[9]"},
    {.op = "CastLike", .inputs = "f16[4] f16[9]", .rtol = 1e-30, .atol = 1e-30},
    {.op = "CastLike", .inputs = "f32[2]", .error = CLV_MALFORMED, .message = "1 inputs"},

    {.op = "BitCast",
     .opset = 26,
     .inputs = "f32[3]{1,-0,-2}",
     .attrs = "to=12",
     .want = "u32[3]{1065353216,2147483648,3221225472}"},
    {.op = "BitCast",
     .opset = 26,
     .inputs = "i32[2]{1065353216,-2147483648}",
     .attrs = "to=1",
     .want = "f32[2]{1,-0}"},
    {.op = "BitCast",
     .opset = 26,
     .inputs = "i64[300]~-4000000000000000000:4000000000000000000",
     .attrs = "to=11",
     .rtol = -1},
    {.op = "BitCast", .opset = 26, .inputs = "f16[300]", .attrs = "to=5"},
    {.op = "BitCast", .opset = 26, .inputs = "i16[300]~-32768:32767", .attrs = "to=16", .rtol = -1},
    {.op = "BitCast", .opset = 26, .inputs = "u8[300]~0:255", .attrs = "to=3"},
    {.op = "BitCast",
     .opset = 26,
     .inputs = "f32[3]",
     .attrs = "to=7",
     .error = CLV_MALFORMED,
     .message = "must be as large"},
};

CLV_CASE_LIST(cast, cases);
