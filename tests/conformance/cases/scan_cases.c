/* CumSum and CumProd. */
#include "tests/conformance/case.h"

#define SCAN(name, type, range)                                             \
    {.op = name, .opset = 26, .inputs = type "[3,40,5]" range " i64[]{1}"}, \
        {.op = name,                                                        \
         .opset = 26,                                                       \
         .inputs = type "[30,70]" range " i64[]{-1}",                       \
         .attrs = "exclusive=1"},                                           \
        {.op = name,                                                        \
         .opset = 26,                                                       \
         .inputs = type "[30,70]" range " i32[]{0}",                        \
         .attrs = "reverse=1"},                                             \
        {.op = name,                                                        \
         .opset = 26,                                                       \
         .inputs = type "[7,90]" range " i64[1]{1}",                        \
         .attrs = "reverse=1 exclusive=1"},                                 \
        {.op = name, .opset = 26, .inputs = type "[0,9] i64[]{1}"}, {       \
        .op = name, .opset = 26, .inputs = type "[9,0] i64[]{1}"            \
    }
#define REFUSED(name)                                                                    \
    {.op = name,                                                                         \
     .opset = 26,                                                                        \
     .inputs = "f32[3] i64[]{1}",                                                        \
     .error = CLV_MALFORMED,                                                             \
     .message = "axis is 1, the input has rank 1"},                                      \
        {.op = name,                                                                     \
         .opset = 26,                                                                    \
         .inputs = "f32[3] i64[2]{0,0}",                                                 \
         .error = CLV_MALFORMED,                                                         \
         .message = "axis has 2 elements"},                                              \
    {                                                                                    \
        .op = name, .opset = 26, .inputs = "bool[3] i64[]{0}", .error = CLV_UNSUPPORTED, \
        .message = "bool"                                                                \
    }

static const clv_case cases[] = {
    SCAN("CumSum", "f32", ""),
    SCAN("CumSum", "i64", ""),
    SCAN("CumSum", "i32", ""),
    SCAN("CumSum", "u8", ""),
    SCAN("CumSum", "u64", ""),
    SCAN("CumProd", "f32", "~0.9:1.1"),
    SCAN("CumProd", "i64", "~-3:3"),
    SCAN("CumProd", "u32", "~1:3"),
    REFUSED("CumSum"),
    REFUSED("CumProd"),
    {.op = "CumSum", .inputs = "f32[3]{1,2,3} i64[]{0}", .want = "f32[3]{1,3,6}"},
    {.op = "CumSum",
     .inputs = "f32[3]{1,2,3} i64[]{0}",
     .attrs = "exclusive=1",
     .want = "f32[3]{0,1,3}"},
    {.op = "CumSum",
     .inputs = "f32[3]{1,2,3} i64[]{0}",
     .attrs = "reverse=1",
     .want = "f32[3]{6,5,3}"},
    {.op = "CumSum",
     .inputs = "f32[3]{1,2,3} i64[]{0}",
     .attrs = "reverse=1 exclusive=1",
     .want = "f32[3]{5,3,0}"},
    {.op = "CumSum", .inputs = "f32[4]{1,inf,3,-inf} i64[]{0}", .want = "f32[4]{1,inf,inf,nan}"},
    {.op = "CumSum", .inputs = "f32[50000]~0:1 i64[]{0}", .rtol = 2e-7, .atol = 1e-12},
    {.op = "CumProd", .opset = 26, .inputs = "i32[3]{2,3,4} i64[]{0}", .want = "i32[3]{2,6,24}"},
    {.op = "CumProd",
     .opset = 26,
     .inputs = "i32[3]{2,3,4} i64[]{0}",
     .attrs = "exclusive=1 reverse=1",
     .want = "i32[3]{12,4,1}"},
};

CLV_CASE_LIST(scan, cases);
