/* Reductions: inner and outer axes, lengths around vectors and blocks, empty sets, types. */
#include "tests/conformance/case.h"

/* Infinities and NaN, but no numbers so large that their sum overflows on the way. */
#define ODD                                                                                  \
    "{1,-2,3,0.5,-1,2,0,0.25,-0,4,1,2,3,inf,1,2,3,-3,0.5,1,2,0.25,1,-inf,2,0.5,3,1,nan,1,2," \
    "1,1,2}"

/* What every reduction of floats must do. */
#define FLOATS(name)                                                                            \
    {.op = name, .inputs = "f32[3,4,5]~0.1:2 i64[1]{1}!", .rtol = 2e-6, .atol = 1e-6},          \
        {.op = name, .inputs = "f32[3,4,5]~0.1:2 i64[1]{-1}!", .rtol = 2e-6, .atol = 1e-6},     \
        {.op = name,                                                                            \
         .inputs = "f32[3,4,5]~0.1:2 i64[2]{0,2}!",                                             \
         .attrs = "keepdims=0",                                                                 \
         .rtol = 2e-6,                                                                          \
         .atol = 1e-6},                                                                         \
        {.op = name, .inputs = "f32[3,4,5]~0.1:2", .rtol = 2e-6, .atol = 1e-6},                 \
        {.op = name,                                                                            \
         .inputs = "f32[3,4,5]~0.1:2",                                                          \
         .attrs = "noop_with_empty_axes=1",                                                     \
         .rtol = 2e-6,                                                                          \
         .atol = 1e-6},                                                                         \
        {.op = name, .inputs = "f32[2,1,1000]~0.9:1.1 i64[1]{2}!", .rtol = 2e-5, .atol = 1e-6}, \
        {.op = name, .inputs = "f32[700,37]~0.99:1.01 i64[1]{0}!", .rtol = 2e-5, .atol = 1e-6}, \
        {.op = name,                                                                            \
         .inputs = "f32[2,3,2,3,2,3,2,3]~0.5:1.5 i64[4]{0,2,4,6}!",                             \
         .rtol = 2e-6,                                                                          \
         .atol = 1e-6},                                                                         \
        {.op = name,                                                                            \
         .inputs = "f32[2,3,2,3,2,3,2,3]~0.5:1.5 i64[4]{1,3,5,7}!",                             \
         .rtol = 2e-6,                                                                          \
         .atol = 1e-6},                                                                         \
        {.op = name, .inputs = "f32[5,16]" ODD " i64[1]{1}!", .rtol = 2e-6, .atol = 1e-6},      \
        {.op = name, .inputs = "f32[40,5]" ODD " i64[1]{0}!", .rtol = 2e-6, .atol = 1e-6},      \
        {.op = name, .inputs = "f32[3,0,2] i64[1]{1}!"},                                        \
        {.op = name, .inputs = "f32[3,0,2] i64[1]{2}!"}, {.op = name, .inputs = "f32[]{-2}"},   \
        {.op = name, .inputs = "f32[1,1]{3}", .attrs = "keepdims=0"},                           \
        {.op = name,                                                                            \
         .inputs = "f32[3,4] i64[1]{2}!",                                                       \
         .error = CLV_MALFORMED,                                                                \
         .message = "an axis is 2, the input has rank 2"},                                      \
        {.op = name,                                                                            \
         .inputs = "f32[3,4] f32[1]{1}!",                                                       \
         .error = CLV_MALFORMED,                                                                \
         .message = "input 1 is float32"},                                                      \
    {                                                                                           \
        .op = name, .inputs = "f16[3,4]", .error = CLV_UNSUPPORTED, .message = "float16"        \
    }

/* The old form: axes are an attribute. */
#define BY_ATTRIBUTE(name, version)                                                               \
    {.op = name,                                                                                  \
     .inputs = "f32[3,4,5]~0.1:2",                                                                \
     .attrs = "axes=[1,-1] keepdims=0",                                                           \
     .opset = version,                                                                            \
     .rtol = 2e-6,                                                                                \
     .atol = 1e-6},                                                                               \
        {.op = name, .inputs = "f32[3,4,5]~0.1:2", .opset = version, .rtol = 2e-6, .atol = 1e-6}, \
    {                                                                                             \
        .op = name, .inputs = "f32[3,4] i64[1]{0}!", .opset = version, .error = CLV_MALFORMED,    \
        .message = "2 inputs"                                                                     \
    }

#define INTEGERS(name)                                                                     \
    {.op = name, .inputs = "i64[3,4,5] i64[1]{1}!"}, {.op = name, .inputs = "i64[3,4,5]"}, \
        {.op = name, .inputs = "i32[300,7]~-3:3 i64[1]{0}!"},                              \
        {.op = name, .inputs = "i32[7,300]~-3:3 i64[1]{1}!"},                              \
        {.op = name, .inputs = "u8[20,33]~0:255 i64[1]{0}!"},                              \
        {.op = name, .inputs = "i8[20,33]~-128:127 i64[1]{1}!"},                           \
        {.op = name, .inputs = "u32[5,9]~0:4294967295"},                                   \
        {.op = name, .inputs = "u64[2,2]{18446744073709551615,3,2,1} i64[1]{1}!"},         \
        {.op = name, .inputs = "i32[2,0] i64[1]{1}!"}, {.op = name, .inputs = "u64[0]"}, { \
        .op = name, .inputs = "i16[0]"                                                     \
    }

static const clv_case cases[] = {
    FLOATS("ReduceL1"),
    FLOATS("ReduceL2"),
    FLOATS("ReduceLogSum"),
    FLOATS("ReduceLogSumExp"),
    FLOATS("ReduceMax"),
    FLOATS("ReduceMean"),
    FLOATS("ReduceMin"),
    FLOATS("ReduceProd"),
    FLOATS("ReduceSum"),
    FLOATS("ReduceSumSquare"),
    BY_ATTRIBUTE("ReduceL1", 13),
    BY_ATTRIBUTE("ReduceL2", 13),
    BY_ATTRIBUTE("ReduceLogSum", 13),
    BY_ATTRIBUTE("ReduceLogSumExp", 13),
    BY_ATTRIBUTE("ReduceMax", 13),
    BY_ATTRIBUTE("ReduceMean", 13),
    BY_ATTRIBUTE("ReduceMin", 13),
    BY_ATTRIBUTE("ReduceProd", 13),
    BY_ATTRIBUTE("ReduceSum", 11),
    BY_ATTRIBUTE("ReduceSumSquare", 13),
    INTEGERS("ReduceL1"),
    INTEGERS("ReduceMax"),
    INTEGERS("ReduceMean"),
    INTEGERS("ReduceMin"),
    INTEGERS("ReduceProd"),
    INTEGERS("ReduceSum"),
    INTEGERS("ReduceSumSquare"),

    {.op = "ReduceSum", .inputs = "f32[2,3]{1,2,3,4,5,6} i64[1]{1}!", .want = "f32[2,1]{6,15}"},
    {.op = "ReduceMean",
     .inputs = "f32[2,3]{1,2,3,4,5,6} i64[1]{0}!",
     .want = "f32[1,3]{2.5,3.5,4.5}"},
    {.op = "ReduceProd",
     .inputs = "f32[2,3]{1,2,3,4,5,6} i64[1]{1}!",
     .attrs = "keepdims=0",
     .want = "f32[2]{6,120}"},
    {.op = "ReduceL1", .inputs = "f32[2,2]{1,-2,-3,4} i64[1]{1}!", .want = "f32[2,1]{3,7}"},
    {.op = "ReduceL2", .inputs = "f32[2,2]{3,-4,-6,8} i64[1]{1}!", .want = "f32[2,1]{5,10}"},
    {.op = "ReduceSumSquare",
     .inputs = "f32[2,2]{3,-4,-6,8} i64[1]{1}!",
     .want = "f32[2,1]{25,100}"},
    {.op = "ReduceLogSum", .inputs = "f32[2]{3,4}", .want = "f32[1]{1.945910149}"},
    {.op = "ReduceLogSumExp", .inputs = "f32[2]{1000,1000}", .want = "f32[1]{1000.693147}"},
    {.op = "ReduceLogSumExp", .inputs = "f32[2]{-inf,-inf}", .want = "f32[1]{-inf}"},
    {.op = "ReduceLogSumExp", .inputs = "f32[2]{-inf,inf}", .want = "f32[1]{inf}"},
    {.op = "ReduceMax", .inputs = "f32[4]{1,nan,3,2}", .want = "f32[1]{nan}"},
    {.op = "ReduceMax", .inputs = "f32[0]", .want = "f32[1]{-inf}"},
    {.op = "ReduceMin", .inputs = "f32[0]", .want = "f32[1]{inf}"},
    {.op = "ReduceMin", .inputs = "i8[0]", .want = "i8[1]{127}"},
    {.op = "ReduceMax", .inputs = "i32[0]", .want = "i32[1]{-2147483648}"},
    {.op = "ReduceProd", .inputs = "f32[2,0] i64[1]{1}!", .want = "f32[2,1]{1,1}"},
    {.op = "ReduceMean", .inputs = "i32[3]{-1,-1,-2}", .want = "i32[1]{-1}"},
    {.op = "ReduceMax", .inputs = "bool[2,3]{0,0,0,0,1,0} i64[1]{1}!", .want = "bool[2,1]{0,1}"},
    {.op = "ReduceMin", .inputs = "bool[2,3]{0,1,1,1,1,1} i64[1]{1}!", .want = "bool[2,1]{0,1}"},
    {.op = "ReduceMax",
     .inputs = "u64[2]{18446744073709551615,3}",
     .want = "u64[1]{18446744073709551615}"},
    {.op = "ReduceLogSum",
     .inputs = "f32[3]{1,2,4}",
     .attrs = "noop_with_empty_axes=1",
     .want = "f32[3]{0,0.693147181,1.386294361}"},
    /* accuracy of long sums, and few outputs of many elements (two stages) */
    {.op = "ReduceSum", .inputs = "f32[1000003]~0:1", .rtol = 3e-7, .atol = 1e-12},
    {.op = "ReduceMean", .inputs = "f32[3,100003]~0:1 i64[1]{1}!", .rtol = 3e-7, .atol = 1e-12},
    {.op = "ReduceMean", .inputs = "f32[100003,3]~0:1 i64[1]{0}!", .rtol = 3e-7, .atol = 1e-12},
    {.op = "ReduceSumSquare",
     .inputs = "f32[2,40,3,900] i64[2]{1,3}!",
     .rtol = 1e-6,
     .atol = 1e-12},
    {.op = "ReduceSumSquare",
     .inputs = "f32[40,2,900,3] i64[2]{0,2}!",
     .rtol = 1e-6,
     .atol = 1e-12},
    {.op = "ReduceLogSumExp", .inputs = "f32[2,50001] i64[1]{1}!", .rtol = 1e-6, .atol = 1e-12},
    {.op = "ReduceLogSumExp", .inputs = "f32[50001,2] i64[1]{0}!", .rtol = 1e-6, .atol = 1e-12},
    {.op = "ReduceMax", .inputs = "f32[70001]"},
    {.op = "ReduceMin", .inputs = "i32[70001]~-1000000000:1000000000"},
    {.op = "ReduceSum", .inputs = "i32[70001]~-1000000000:1000000000"},
    {.op = "ReduceMean", .inputs = "i64[30001,3]~-1000000000:1000000000 i64[1]{0}!"},
    {.op = "ReduceSum", .inputs = "f32[2,70,333] i64[1]{1}!", .rtol = 1e-6, .atol = 1e-6},
    {.op = "ReduceMean", .inputs = "f32[300,768] i64[1]{-1}!", .rtol = 1e-6, .atol = 1e-6},
    {.op = "ReduceMean", .inputs = "f32[2,64,7,7] i64[2]{2,3}!", .rtol = 1e-6, .atol = 1e-6},
    {.op = "ReduceSum",
     .inputs = "f32[3]",
     .attrs = "axes=[0]",
     .error = CLV_MALFORMED,
     .message = "axes are an attribute"},
    {.op = "ReduceL2", .inputs = "i32[3]", .error = CLV_UNSUPPORTED, .message = "int32"},
};

CLV_CASE_LIST(reduce, cases);
