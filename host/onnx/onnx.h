/* Reads ONNX files. A model is untrusted input: whatever its bytes are, the result is a graph that
 * clv_graph_verify accepts, or a status that names what is wrong.
 *
 * A first walk over the wire format (scan.h) copies everything but tensor bytes, which stay in the
 * mapped file; protobuf-c decodes that small copy; build.c makes the graph, with model-local
 * functions inlined. Nothing here knows what an operator means: inference validates operators.
 */
#ifndef CLV_ONNX_ONNX_H
#define CLV_ONNX_ONNX_H

#include "host/ir/graph.h"

enum { CLV_ONNX_MIN_OPSET = 7, CLV_ONNX_MAX_OPSET = 28 };

/* Guards against small files that unfold into much memory; 0 means the default. */
typedef struct clv_onnx_options {
    size_t structure_bytes; /* what protobuf-c may allocate, and what inlining may add; 1 GiB */
    size_t num_nodes;       /* nodes and function calls after inlining; 1,000,000 */
} clv_onnx_options;

/* The model in the file at `path`, mapped; the graph keeps the mappings (of external data too).
 *
 * options    NULL: the defaults
 * out_graph  created on success, NULL otherwise. Nodes are sorted; constants have their data, other
 *            tensors what the file declares; node->op is NULL where cleave has no such operator
 * errors     IO; MALFORMED; UNSUPPORTED (opset, type); NO_MEMORY. The message names the file
 */
clv_status *clv_onnx_load(const char *path, const clv_onnx_options *options, clv_graph **out_graph)
    CLV_CHECKED;

/* The same from memory, which must outlive the graph. External data is refused. */
clv_status *clv_onnx_load_memory(
    const void *data, size_t bytes, const clv_onnx_options *options,
    clv_graph **out_graph) CLV_CHECKED;

/* A serialized TensorProto, as the ONNX tests keep inputs and outputs in (.pb files).
 *
 * arena      for what cannot be used in place
 * out_view   its data lies in `data` or in the arena
 * out_name   its name, "" if none, in the arena; may be NULL
 */
clv_status *clv_onnx_read_tensor(
    const void *data, size_t bytes, clv_arena *arena, clv_view *out_view,
    const char **out_name) CLV_CHECKED;

/* The bytes of a TensorProto that holds `view`, appended to `out_bytes`. */
void clv_onnx_write_tensor(const clv_view *view, const char *name, clv_text *out_bytes);

#endif
