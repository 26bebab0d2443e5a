/* Between case_text.c and case.c. */
#ifndef CLV_TESTS_CONFORMANCE_CASE_TEXT_H
#define CLV_TESTS_CONFORMANCE_CASE_TEXT_H

#include "tests/conformance/case.h"

void clv_case_skip_spaces(const char **text);
bool clv_case_starts_tensor(const char *text);
/* "NAME=VALUE" from the front of *text. */
clv_status *clv_case_parse_attr(
    const char **text, clv_arena *arena, uint64_t seed, clv_attr *out_attr) CLV_CHECKED;

#endif
