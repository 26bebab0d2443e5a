#include "tests/conformance/case.h"

static const clv_case cases[] = {
    {.op = "ReverseSequence",
     .inputs = "f32[4,2]{1,10,2,20,3,30,4,40} i64[2]{3,1}",
     .want = "f32[4,2]{3,10,2,20,1,30,4,40}"},
    {.op = "ReverseSequence",
     .inputs = "i32[2,4]{1,2,3,4,10,20,30,40} i64[2]{0,4}",
     .attrs = "time_axis=1 batch_axis=0",
     .want = "i32[2,4]{1,2,3,4,40,30,20,10}"},
    {.op = "ReverseSequence", .inputs = "f32[23,3,5,7] i64[3]{23,1,11}"},
    {.op = "ReverseSequence",
     .inputs = "f32[3,70,33] i64[3]{70,69,2}",
     .attrs = "time_axis=1 batch_axis=0"},
    {.op = "ReverseSequence", .inputs = "bool[9,4] i64[4]{9,8,7,6}"},
    {.op = "ReverseSequence", .inputs = "f16[9,4,3] i64[4]{9,8,7,6}"},
    {.op = "ReverseSequence", .inputs = "i64[9,4,3] i64[4]{9,8,7,0}"},
    {.op = "ReverseSequence", .inputs = "f32[0,4,3] i64[4]{0,0,0,0}"},
    {.op = "ReverseSequence",
     .inputs = "f32[9,4] i64[9]",
     .error = CLV_MALFORMED,
     .message = "sequence_lens is [9], needs [4]"},
    {.op = "ReverseSequence",
     .inputs = "f32[9,4] i64[9]",
     .attrs = "time_axis=1 batch_axis=1",
     .error = CLV_MALFORMED,
     .message = "time_axis is 1 and batch_axis 1"},
    {.op = "ReverseSequence", .inputs = "f32[9] i64[9]", .error = CLV_MALFORMED, .message = "rank"},
};

CLV_CASE_LIST(reverse, cases);
