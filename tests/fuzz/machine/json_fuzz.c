/* Any bytes as a machine's file: an error, or a machine that is written the same twice and whose
 * ways between memories can be found. */
#include "host/base/memory.h"
#include "host/machine/machine.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_paths(const clv_machine *machine) {
    clv_routes *routes = NULL;
    clv_status *status = clv_routes_create(machine, &routes);
    uint32_t most = machine->num_units < 8 ? machine->num_units : 8;
    for (uint32_t i = 0; status == NULL && i < most; i++) {
        clv_path path;
        clv_path_line lines[CLV_MOST_PATHS];
        uint32_t from = machine->units[0].memory, to = machine->units[i].memory, count;
        status = clv_routes_path(routes, from, to, 4096, &path);
        if (status == NULL) {
            status = clv_routes_lines(routes, from, to, lines, &count);
        }
        if (status == NULL && path.count == CLV_NO_INDEX) {
            abort(); /* verification promises that every unit can be reached */
        }
    }
    if (status != NULL) {
        abort();
    }
    clv_routes_destroy(routes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_machine *machine = NULL, *again = NULL;
    char *first = NULL, *second = NULL;
    clv_status *status = clv_machine_parse_json("fuzz", (const char *)data, bytes, &machine);
    if (status == NULL) {
        check_paths(machine);
        status = clv_machine_format_json(machine, &first);
        status =
            status != NULL ? status : clv_machine_parse_json("fuzz", first, strlen(first), &again);
        status = status != NULL ? status : clv_machine_format_json(again, &second);
        if (status != NULL || strcmp(first, second) != 0) {
            abort(); /* what was accepted once must read back, equal */
        }
    }
    clv_status_destroy(status);
    clv_free(first);
    clv_free(second);
    clv_machine_destroy(machine);
    clv_machine_destroy(again);
    return 0;
}
