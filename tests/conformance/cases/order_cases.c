/* ArgMax, ArgMin, Hardmax, TopK. */
#include "tests/conformance/case.h"

#define ARG(name)                                                                                 \
    {.op = name, .inputs = "f32[3,40,5]", .attrs = "axis=1"},                                     \
        {.op = name, .inputs = "f32[30,500]", .attrs = "axis=-1 keepdims=0"},                     \
        {.op = name, .inputs = "f32[30,500]"},                                                    \
        {.op = name, .inputs = "i32[3,40,5]~-3:3", .attrs = "axis=1"},                            \
        {.op = name, .inputs = "i32[3,40,5]~-3:3", .attrs = "axis=1 select_last_index=1"},        \
        {.op = name, .inputs = "u8[4,90]~0:255", .attrs = "axis=1"},                              \
        {.op = name, .inputs = "u64[2,2]{18446744073709551615,3,2,5}", .attrs = "axis=1"},        \
        {.op = name, .inputs = "f32[300]~special"},                                               \
        {.op = name, .inputs = "f32[3,100]~special", .attrs = "axis=1 select_last_index=1"},      \
        {.op = name, .inputs = "f32[0,3]", .attrs = "axis=1"},                                    \
        {.op = name, .inputs = "f32[20000]"},                                                     \
        {.op = name, .inputs = "f32[0,3]", .error = CLV_MALFORMED, .message = "axis 0 is empty"}, \
        {.op = name,                                                                              \
         .inputs = "f32[3]",                                                                      \
         .attrs = "axis=1",                                                                       \
         .error = CLV_MALFORMED,                                                                  \
         .message = "axis is 1, the input has rank 1"},                                           \
    {                                                                                             \
        .op = name, .inputs = "f16[3]", .error = CLV_UNSUPPORTED, .message = "float16"            \
    }

static const clv_case cases[] = {
    ARG("ArgMax"),
    ARG("ArgMin"),
    {.op = "ArgMax",
     .inputs = "f32[2,3]{1,3,3,-0,0,-1}",
     .attrs = "axis=1",
     .want = "i64[2,1]{1,0}"},
    {.op = "ArgMax",
     .inputs = "f32[2,3]{1,3,3,-0,0,-1}",
     .attrs = "axis=1 select_last_index=1",
     .want = "i64[2,1]{2,1}"},
    {.op = "ArgMin",
     .inputs = "f32[2,3]{3,1,1,0,-0,2}",
     .attrs = "axis=1 keepdims=0",
     .want = "i64[2]{1,0}"},
    {.op = "ArgMax", .inputs = "f32[4]{1,nan,inf,nan}", .want = "i64[1]{1}"},
    {.op = "ArgMin", .inputs = "f32[4]{1,nan,-inf,nan}", .want = "i64[1]{1}"},

    {.op = "Hardmax", .inputs = "f32[2,3]{1,3,3,2,1,0}", .want = "f32[2,3]{0,1,0,1,0,0}"},
    {.op = "Hardmax", .inputs = "f32[3,40,5]", .attrs = "axis=1"},
    {.op = "Hardmax", .inputs = "f32[3,4,5]", .opset = 11},
    {.op = "Hardmax", .inputs = "f32[3,4,5]", .attrs = "axis=2", .opset = 11},
    {.op = "Hardmax", .inputs = "f32[7,700]"},
    {.op = "Hardmax", .inputs = "f32[2,0,3]", .attrs = "axis=1"},
    {.op = "Hardmax", .inputs = "i32[2,3]", .error = CLV_UNSUPPORTED, .message = "int32"},
    {.op = "Hardmax",
     .inputs = "f32[2,3]",
     .attrs = "axis=-3",
     .error = CLV_MALFORMED,
     .message = "axis is -3"},

    {.op = "TopK",
     .inputs = "f32[2,4]{1,4,4,2,0,-1,5,3} i64[1]{2}",
     .num_outputs = 2,
     .want = "f32[2,2]{4,4,5,3} i64[2,2]{1,2,2,3}"},
    {.op = "TopK",
     .inputs = "f32[2,4]{1,4,4,1,0,-1,5,3} i64[1]{2}",
     .attrs = "largest=0",
     .num_outputs = 2,
     .want = "f32[2,2]{1,1,-1,0} i64[2,2]{0,3,1,0}"},
    {.op = "TopK",
     .inputs = "f32[5]{1,nan,inf,-inf,0} i64[1]{5}",
     .num_outputs = 2,
     .want = "f32[5]{nan,inf,1,0,-inf} i64[5]{1,2,0,4,3}"},
    {.op = "TopK",
     .inputs = "u64[3]{1,18446744073709551615,9} i64[1]{2}",
     .num_outputs = 2,
     .want = "u64[2]{18446744073709551615,9} i64[2]{1,2}"},
    {.op = "TopK", .inputs = "f32[3,700,5] i64[1]{9}", .attrs = "axis=1", .num_outputs = 2},
    {.op = "TopK", .inputs = "f32[30,100] i64[1]{100}", .num_outputs = 2},
    {.op = "TopK", .inputs = "f32[4000] i64[1]{1}", .num_outputs = 2},
    {.op = "TopK",
     .inputs = "i32[20,30]~-5:5 i64[1]{7}",
     .attrs = "axis=0 sorted=0",
     .num_outputs = 2},
    {.op = "TopK",
     .inputs = "i64[2,300]~-50:50 i64[1]{30}",
     .attrs = "largest=0",
     .num_outputs = 2},
    {.op = "TopK", .inputs = "u8[2,300]~0:255 i64[1]{30}", .num_outputs = 2},
    {.op = "TopK",
     .inputs = "f32[2,300]~special i64[1]{30}",
     .attrs = "largest=0",
     .num_outputs = 2},
    {.op = "TopK", .inputs = "f32[2,30] i64[1]{3}", .num_outputs = 2, .unwanted = 1},
    {.op = "TopK", .inputs = "f32[2,30] i64[1]{3}", .num_outputs = 2, .unwanted = 2},
    {.op = "TopK", .inputs = "f32[2,30] i64[1]{3}"},
    {.op = "TopK", .inputs = "f32[2,30] i64[1]{0}", .num_outputs = 2},
    {.op = "TopK", .inputs = "f32[2,30]", .attrs = "k=3", .opset = 1, .num_outputs = 2},
    {.op = "TopK",
     .inputs = "f32[2,30] i64[1]{31}",
     .num_outputs = 2,
     .error = CLV_MALFORMED,
     .message = "k is 31, the axis has 30"},
    {.op = "TopK",
     .inputs = "f32[2,30] i64[1]{-1}",
     .num_outputs = 2,
     .error = CLV_MALFORMED,
     .message = "k is -1"},
    {.op = "TopK",
     .inputs = "f32[2,30] i64[2]{1,2}",
     .num_outputs = 2,
     .error = CLV_MALFORMED,
     .message = "k has 2 elements"},
    {.op = "TopK",
     .inputs = "f16[2,30] i64[1]{1}",
     .num_outputs = 2,
     .error = CLV_UNSUPPORTED,
     .message = "float16"},
};

CLV_CASE_LIST(order, cases);
