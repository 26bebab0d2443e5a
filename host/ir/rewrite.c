/* Changing a graph: removing, compacting, sorting, and who reads what. */
#include "host/ir/graph.h"

#include "host/base/memory.h"
#include <string.h>

void clv_graph_replace_uses(clv_graph *graph, clv_tensor_id from, clv_tensor_id to) {
    for (size_t i = 0; i < graph->num_nodes; i++) {
        clv_node *node = &graph->nodes[i];
        for (size_t j = 0; !node->removed && j < node->num_inputs; j++) {
            if (node->inputs[j] == from) {
                node->inputs[j] = to;
            }
        }
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        if (graph->outputs[i] == from) {
            graph->outputs[i] = to;
        }
    }
}

void clv_graph_remove_node(clv_graph *graph, clv_node_id id) {
    clv_node *node = &graph->nodes[id];
    node->removed = true;
    for (size_t i = 0; i < node->num_outputs; i++) {
        if (node->outputs[i] != CLV_NO_ID && graph->tensors[node->outputs[i]].producer == id) {
            graph->tensors[node->outputs[i]].producer = CLV_NO_ID;
        }
    }
}

/* Sets remap[t] of each tensor that something refers to. */
static void mark_tensors(const clv_graph *graph, clv_tensor_id *remap) {
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        for (size_t j = 0; !node->removed && j < node->num_inputs; j++) {
            if (node->inputs[j] != CLV_NO_ID) {
                remap[node->inputs[j]] = 0;
            }
        }
        for (size_t j = 0; !node->removed && j < node->num_outputs; j++) {
            if (node->outputs[j] != CLV_NO_ID) {
                remap[node->outputs[j]] = 0;
            }
        }
    }
    for (size_t i = 0; i < graph->num_inputs; i++) {
        remap[graph->inputs[i]] = 0;
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        remap[graph->outputs[i]] = 0;
    }
}

static void rename_ids(clv_tensor_id *ids, size_t count, const clv_tensor_id *remap) {
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != CLV_NO_ID) {
            ids[i] = remap[ids[i]];
        }
    }
}

static void set_producers(clv_graph *graph) {
    for (size_t i = 0; i < graph->num_tensors; i++) {
        graph->tensors[i].producer = CLV_NO_ID;
    }
    for (size_t i = 0; i < graph->num_nodes; i++) {
        const clv_node *node = &graph->nodes[i];
        for (size_t j = 0; !node->removed && j < node->num_outputs; j++) {
            if (node->outputs[j] < graph->num_tensors &&
                graph->tensors[node->outputs[j]].kind == CLV_TENSOR_VALUE) {
                graph->tensors[node->outputs[j]].producer = (clv_node_id)i;
            }
        }
    }
}

clv_status *clv_graph_compact(clv_graph *graph) {
    clv_tensor_id *remap = clv_alloc_zeroed(graph->num_tensors, sizeof *remap);
    if (remap == NULL) {
        return CLV_ERROR(NO_MEMORY, "out of host memory for compacting a graph");
    }
    for (size_t i = 0; i < graph->num_tensors; i++) {
        remap[i] = CLV_NO_ID;
    }
    mark_tensors(graph, remap);
    size_t num_tensors = 0;
    for (size_t i = 0; i < graph->num_tensors; i++) {
        if (remap[i] != CLV_NO_ID) {
            remap[i] = (clv_tensor_id)num_tensors;
            graph->tensors[num_tensors++] = graph->tensors[i];
        }
    }
    graph->num_tensors = num_tensors;
    size_t num_nodes = 0;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        if (!graph->nodes[i].removed) {
            clv_node *node = &graph->nodes[num_nodes++];
            *node = graph->nodes[i];
            rename_ids(node->inputs, node->num_inputs, remap);
            rename_ids(node->outputs, node->num_outputs, remap);
        }
    }
    graph->num_nodes = num_nodes;
    rename_ids(graph->inputs, graph->num_inputs, remap);
    rename_ids(graph->outputs, graph->num_outputs, remap);
    set_producers(graph);
    clv_free(remap);
    return NULL;
}

enum node_color { WHITE, GRAY, BLACK };

/* A walk from each node to what it reads, depth first, with a stack of its own. */
typedef struct sorter {
    const clv_graph *graph;
    unsigned char *colors; /* [num_nodes] */
    clv_node_id *stack;    /* [num_nodes]: the path from the first node to the current one */
    size_t *next_inputs;   /* [num_nodes]: of each node on the path, the input to look at next */
    size_t depth;
    clv_node_id *order; /* [num_nodes] */
    size_t num_ordered;
} sorter;

static void enter_node(sorter *s, clv_node_id id) {
    s->colors[id] = GRAY;
    s->next_inputs[id] = 0;
    s->stack[s->depth++] = id;
}

static clv_status *describe_cycle(const sorter *s, clv_node_id id) {
    size_t first = s->depth;
    while (s->stack[first - 1] != id) {
        first--;
    }
    clv_text text;
    clv_text_init(&text);
    /* The path runs from readers to what they read: the cycle is told the other way round. */
    size_t length = s->depth - first + 1;
    for (size_t i = 0; i < length; i++) {
        if (i == 8 && length > 9) {
            clv_text_add(&text, " -> ... (%zu more)", length - i);
            break;
        }
        clv_node_id member = s->stack[s->depth - 1 - i];
        clv_text_add(&text, "%s'%s'", i == 0 ? "" : " -> ", s->graph->nodes[member].name);
    }
    clv_node_id start = s->stack[s->depth - 1];
    clv_text_add(&text, " -> '%s'", s->graph->nodes[start].name);
    char *path;
    CLV_TRY(clv_text_take(&text, &path));
    clv_status *status = CLV_ERROR(MALFORMED, "the graph has a cycle: %s", path);
    clv_free(path);
    return status;
}

/* The producer of the next input to look at, or NO_ID when the node has none left. */
static clv_node_id next_producer(sorter *s, clv_node_id id) {
    const clv_node *node = &s->graph->nodes[id];
    while (s->next_inputs[id] < node->num_inputs) {
        clv_tensor_id input = node->inputs[s->next_inputs[id]++];
        if (input >= s->graph->num_tensors) {
            continue;
        }
        clv_node_id producer = s->graph->tensors[input].producer;
        if (producer < s->graph->num_nodes && s->colors[producer] != BLACK) {
            return producer;
        }
    }
    return CLV_NO_ID;
}

static clv_status *visit_nodes(sorter *s) {
    for (clv_node_id root = 0; root < s->graph->num_nodes; root++) {
        if (s->colors[root] != WHITE) {
            continue;
        }
        enter_node(s, root);
        while (s->depth > 0) {
            clv_node_id current = s->stack[s->depth - 1];
            clv_node_id producer = next_producer(s, current);
            if (producer == CLV_NO_ID) {
                s->colors[current] = BLACK;
                s->order[s->num_ordered++] = current;
                s->depth--;
            } else if (s->colors[producer] == GRAY) {
                return describe_cycle(s, producer);
            } else {
                enter_node(s, producer);
            }
        }
    }
    return NULL;
}

clv_status *clv_graph_sort(clv_graph *graph) {
    clv_status *status = NULL;
    size_t num_nodes = graph->num_nodes;
    sorter s = {
        .graph = graph,
        .colors = clv_alloc_zeroed(num_nodes, sizeof *s.colors),
        .stack = clv_alloc_zeroed(num_nodes, sizeof *s.stack),
        .next_inputs = clv_alloc_zeroed(num_nodes, sizeof *s.next_inputs),
        .order = clv_alloc_zeroed(num_nodes, sizeof *s.order),
    };
    clv_node *sorted = clv_alloc_zeroed(num_nodes, sizeof *sorted);
    if (s.colors == NULL || s.stack == NULL || s.next_inputs == NULL || s.order == NULL ||
        sorted == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for sorting a graph");
        goto done;
    }
    CLV_TRY_DONE(visit_nodes(&s));
    for (size_t i = 0; i < num_nodes; i++) {
        sorted[i] = graph->nodes[s.order[i]];
    }
    if (num_nodes != 0) {
        memcpy(graph->nodes, sorted, num_nodes * sizeof *sorted);
    }
    set_producers(graph);
done:
    clv_free(s.colors);
    clv_free(s.stack);
    clv_free(s.next_inputs);
    clv_free(s.order);
    clv_free(sorted);
    return status;
}

clv_status *clv_uses_init(const clv_graph *graph, clv_uses *out_uses) {
    size_t num_uses = 0;
    for (size_t i = 0; i < graph->num_nodes; i++) {
        num_uses += graph->nodes[i].removed ? 0 : graph->nodes[i].num_inputs;
    }
    clv_uses uses = {
        .offsets = clv_alloc_zeroed(graph->num_tensors + 2, sizeof *uses.offsets),
        .nodes = clv_alloc_zeroed(num_uses, sizeof *uses.nodes),
        .outputs = clv_alloc_zeroed(graph->num_tensors, sizeof *uses.outputs),
    };
    *out_uses = uses;
    if (uses.offsets == NULL || uses.nodes == NULL || uses.outputs == NULL ||
        num_uses > UINT32_MAX) {
        clv_uses_deinit(out_uses);
        return CLV_ERROR(NO_MEMORY, "out of host memory for the uses of tensors");
    }
    /* Counting sort. Counts are kept two places up, so that after the running sum offsets[t + 1] is
     * where the readers of t start, and once they are filled in, where they end. */
    for (int fill = 0; fill < 2; fill++) {
        for (size_t i = 0; i < graph->num_nodes; i++) {
            const clv_node *node = &graph->nodes[i];
            for (size_t j = 0; !node->removed && j < node->num_inputs; j++) {
                clv_tensor_id input = node->inputs[j];
                if (input == CLV_NO_ID) {
                    continue;
                }
                if (fill != 0) {
                    uses.nodes[uses.offsets[input + 1]++] = (clv_node_id)i;
                } else {
                    uses.offsets[input + 2]++;
                }
            }
        }
        for (size_t t = 0; fill == 0 && t < graph->num_tensors; t++) {
            uses.offsets[t + 2] += uses.offsets[t + 1];
        }
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        uses.outputs[graph->outputs[i]]++;
    }
    return NULL;
}

clv_node_id clv_uses_only_reader(const clv_uses *uses, clv_tensor_id id) {
    bool is_one = uses->outputs[id] == 0 && uses->offsets[id + 1] - uses->offsets[id] == 1;
    return is_one ? uses->nodes[uses->offsets[id]] : CLV_NO_ID;
}

void clv_uses_deinit(clv_uses *uses) {
    clv_free(uses->offsets);
    clv_free(uses->nodes);
    clv_free(uses->outputs);
    *uses = (clv_uses){.offsets = NULL};
}
