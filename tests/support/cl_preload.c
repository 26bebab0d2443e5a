/* The shim as a library for LD_PRELOAD, for programs as their users run them: one fault, of
 * CL_SHIM_FAULT=FUNCTION:AT[:stays|hangs], where AT counts calls from 0; the error is
 * CL_OUT_OF_RESOURCES, or CL_SHIM_ERROR. */
#include "tests/support/cl_shim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "FUNCTION:AT", "FUNCTION:AT:stays" or "FUNCTION:AT:hangs". */
static bool read_text(const char *text, clv_shim_fault *fault) {
    char function[64];
    long long at;
    int length = 0;
    if (sscanf(text, "%63[^:]:%lld%n", function, &at, &length) != 2 || at < 0) {
        return false;
    }
    const char *how = text + length;
    fault->call = clv_ocl_call_find(function);
    fault->at = at;
    fault->stays = strcmp(how, ":stays") == 0;
    fault->hangs = strcmp(how, ":hangs") == 0;
    return fault->call != CLV_OCL_NUM_CALLS && (*how == '\0' || fault->stays || fault->hangs);
}

__attribute__((constructor)) static void read_fault(void) {
    const char *text = getenv("CL_SHIM_FAULT"), *error = getenv("CL_SHIM_ERROR");
    clv_shim_fault fault = {.error = error != NULL ? atoi(error) : CL_OUT_OF_RESOURCES};
    if (text == NULL) {
        return;
    }
    if (!read_text(text, &fault)) {
        fprintf(stderr, "CL_SHIM_FAULT '%s' is no FUNCTION:AT[:stays|hangs]\n", text);
        _exit(99);
    }
    clv_shim_set_fault(&fault);
}
