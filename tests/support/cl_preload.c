/* The shim as a library for LD_PRELOAD, for programs as their users run them: one fault, of
 * CL_SHIM_FAULT=FUNCTION:AT[:stays|hangs], where AT counts calls from 0; the error is
 * CL_OUT_OF_RESOURCES, or CL_SHIM_ERROR. */
#include "tests/support/cl_shim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void read_fault(void) {
    const char *text = getenv("CL_SHIM_FAULT"), *error = getenv("CL_SHIM_ERROR");
    char function[64], how[16] = "";
    long long at;
    if (text == NULL) {
        return;
    }
    if (sscanf(text, "%63[^:]:%lld:%15s", function, &at, how) < 2 ||
        clv_ocl_call_find(function) == CLV_OCL_NUM_CALLS) {
        fprintf(stderr, "CL_SHIM_FAULT '%s' is no FUNCTION:AT[:stays|hangs]\n", text);
        abort();
    }
    const clv_shim_fault fault = {
        .call = clv_ocl_call_find(function),
        .at = at,
        .error = error != NULL ? atoi(error) : CL_OUT_OF_RESOURCES,
        .stays = strcmp(how, "stays") == 0,
        .hangs = strcmp(how, "hangs") == 0,
    };
    clv_shim_set_fault(&fault);
}
