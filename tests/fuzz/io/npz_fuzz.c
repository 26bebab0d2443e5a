/* Any bytes as an .npz: an error or an array, whether the entry is asked for by name or not. */
#include "host/io/formats.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const char *const names[] = {"x", "other"};
    for (size_t i = 0; i < 2; i++) {
        clv_value *value = NULL;
        clv_status *status = clv_npz_read(data, bytes, names[i], &value);
        clv_code code = clv_status_code(status);
        clv_status_destroy(status);
        if (code == CLV_INTERNAL || (code == CLV_OK) != (value != NULL)) {
            abort();
        }
        clv_value_destroy(value);
    }
    return 0;
}
