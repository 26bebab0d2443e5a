#include "tests/conformance/case.h"

static const clv_case cases[] = {
    {"Constant", "", "value_int=7", .want = "i64[]{7}"},
    {"Constant", "", "value_ints=[1,-2,3]", .want = "i64[3]{1,-2,3}"},
    {"Constant", "", "value_float=1.5", .want = "f32[]{1.5}"},
    {"Constant", "", "value_floats=[1.0,2.5]", .want = "f32[2]{1,2.5}"},
    {"Constant", "", .error = CLV_MALFORMED, .message = "no value"},
    {"Constant", "", "value_int=7 value_float=1.5", .error = CLV_MALFORMED, .message = "both"},
    {"Identity", "f32[2,3]"},
    {"Identity", "i64[4]{1,2,3,4}", .want = "i64[4]{1,2,3,4}"},
    {"Identity", "bool[0,3]"},
    {"Identity", "", .error = CLV_MALFORMED, .message = "input"},
    {"Dropout", "f32[2,3]"},
    {"Dropout", "f32[2,3] f32[]{0.5}", .opset = 12},
    {"Dropout", "f32[2,3] f32[]{0.5} bool[]{0}", .opset = 13},
    {"Dropout", "f32[2,3] f32[]{0.5} bool[]{1}", .opset = 13, .error = CLV_UNSUPPORTED,
     .message = "training_mode"},
    {"Dropout", "f32[2,3] f32[]{0.5} f32[]{1}", .opset = 13, .error = CLV_MALFORMED,
     .message = "one bool"},
    {"Shape", "f32[2,3,4]", .want = "i64[3]{2,3,4}"},
    {"Shape", "f32[]", .want = "i64[0]"},
    {"Shape", "u8[2,3,4]", "start=1", .want = "i64[2]{3,4}"},
    {"Shape", "u8[2,3,4]", "start=-2 end=-1", .want = "i64[1]{3}"},
    {"Shape", "u8[2,3,4]", "start=2 end=1", .want = "i64[0]"},
    {"Shape", "u8[2,3,4]", "start=-9 end=9", .want = "i64[3]{2,3,4}"},
    {"Shape", "", .error = CLV_MALFORMED, .message = "input"},
    {"Size", "f32[2,3,4]", .want = "i64[]{24}"},
    {"Size", "f32[]", .want = "i64[]{1}"},
    {"Size", "f32[2,0]", .want = "i64[]{0}"},
    {"Size", "", .error = CLV_MALFORMED, .message = "input"},
};

CLV_CASE_LIST(basic, cases);
