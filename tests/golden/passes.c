/* Golden files of graphs: what each pass makes of a graph written as tests/support/graph_text.h
 * says. */
#include "host/passes/passes.h"

#include "host/base/memory.h"
#include "tests/golden/golden.h"
#include "tests/support/graph_text.h"
#include <string.h>

typedef struct printer {
    clv_text *result;
    char *before;
} printer;

static clv_status *print_after(void *context, const clv_pass *pass, const clv_graph *graph) {
    printer *p = context;
    char *now;
    CLV_TRY(clv_test_graph_show(graph, &now));
    bool same = p->before != NULL && strcmp(p->before, now) == 0;
    clv_text_add(p->result, "-- after %s\n%s", pass->name, same ? "(as before)\n" : now);
    clv_free(p->before);
    p->before = now;
    return NULL;
}

static clv_status *run_passes(const char *source, clv_text *result) {
    clv_graph *graph = NULL;
    printer p = {.result = result};
    CLV_TRY(clv_test_graph_make(source, 1, &graph));
    clv_status *status = clv_passes_run(graph, print_after, &p);
    clv_free(p.before);
    clv_graph_destroy(graph);
    return status;
}

int main(int argc, char **argv) {
    return golden_main(argc, argv, run_passes);
}
