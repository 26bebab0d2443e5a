/* Graphs for tests, written as lines of text:
 *
 *     # a comment
 *     graph NAME 13                    opset; default 21
 *     input x f32[1,C,?]               C: a dimension with a name, ?: one without
 *     constant w f32[4,3]{1,2,3}       a tensor as in tests/conformance/case.h
 *     y = Conv(x, w, _) group=1        attributes as there; the node is called y
 *     a, b = Split(y) axis=0           the node is called a
 *     declare y f32[1,4,?]             what the file says of a value
 *     output y a
 *     dim C=3                          what clv_test_graph_bind binds
 *     value k i64[2]{1,2}              an input's value, likewise
 *
 * Names may be used before the line that makes them; a name that no line makes is a value that
 * nothing writes.
 */
#ifndef CLV_TESTS_SUPPORT_GRAPH_TEXT_H
#define CLV_TESTS_SUPPORT_GRAPH_TEXT_H

#include "host/ir/graph.h"

/* INTERNAL names the line that is wrong. seed: of random constants. Nodes stand in the order of
 * their lines. */
clv_status *clv_test_graph_parse(const char *text, uint64_t seed, clv_graph **out_graph)
    CLV_CHECKED;
/* Binds what the lines `dim` and `value` of the same text say, shapes first. */
clv_status *clv_test_graph_bind(const char *text, clv_graph *graph) CLV_CHECKED;
/* Both. */
clv_status *clv_test_graph_make(const char *text, uint64_t seed, clv_graph **out_graph) CLV_CHECKED;

/* For tests of what a graph looks like: clv_graph_print as a string, to be freed with clv_free. */
clv_status *clv_test_graph_show(const clv_graph *graph, char **out_text) CLV_CHECKED;

#endif
