/* Any bytes as one line of text about a machine: an error, or a machine that survives a file. */
#include "host/base/memory.h"
#include "host/machine/machine.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_machine *machine = NULL, *again = NULL;
    char *json = NULL, *text = malloc(bytes + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    clv_status *status = clv_machine_parse_text(text, &machine);
    /* A file of a hundred thousand links is nothing new, and takes longer than a fuzzer has. */
    if (status == NULL && machine->num_links <= 10000) {
        status = clv_machine_format_json(machine, &json);
        status =
            status != NULL ? status : clv_machine_parse_json("fuzz", json, strlen(json), &again);
        if (status != NULL) {
            abort(); /* what was accepted once must read back */
        }
    }
    clv_status_destroy(status);
    clv_free(json);
    free(text);
    clv_machine_destroy(machine);
    clv_machine_destroy(again);
    return 0;
}
