/* Conformance cases: one line of text each, run through infer, reference and every kernel variant.
 *
 * cases/FAMILY_cases.c holds a table `clv_cases_FAMILY`, families.def names it: adding cases is a
 * line in a table, adding a family is a file and a line. The text of a case:
 *
 *     inputs   tensors separated by spaces; `-` is an optional input left out
 *     tensor   TYPE[DIMS]CONTENT!     "f32[2,3]", "i64[2]{3,-1}", "u8[4]~seq", "f32[]{0.5}"
 *     TYPE     f32 f64 f16 bf16 i8 i16 i32 i64 u8 u16 u32 u64 bool
 *     CONTENT  nothing: floats standard normal, integers -8..8 (unsigned 0..15), bool 0 or 1
 *              {1,2,nan,-inf}: these values (bool: 0 and 1); fewer than elements: repeated
 *              ~LOW:HIGH: uniform, floats in [LOW, HIGH), integers LOW..HIGH
 *              ~seq: 0, 1, 2, ...    ~special: normal with zeros, infinities, NaN, tiny and huge
 *     !        the value is known when shapes are inferred (host_inputs of the op always are)
 *     attrs    NAME=VALUE separated by spaces: 3, 0.5, word, "two words", [1,2], [0.5,1.0], [a,b],
 *              tensor (a number that is no integer is a float)
 */
#ifndef CLV_TESTS_CONFORMANCE_CASE_H
#define CLV_TESTS_CONFORMANCE_CASE_H

#include "host/ops/op.h"

typedef struct clv_case {
    const char *op;
    const char *inputs;
    const char *attrs;  /* NULL: none */
    int opset;          /* 0: 21 */
    size_t num_outputs; /* 0: 1 */
    uint32_t unwanted;  /* bit i: output i is left out */
    const char *want;   /* tensors with {values}, one for each output: what the reference must give,
                         within 1e-6 or, where rtol is below 0, bit for bit */
    double rtol, atol;  /* 0: 1e-5 (float64: 1e-12); see clv_case_compare */
    clv_code error;     /* the case is refused with this code ... */
    const char *message; /* ... and a message that contains this */
} clv_case;

typedef struct clv_case_list {
    const char *name;
    const clv_case *cases;
    size_t num_cases;
} clv_case_list;

#define CLV_CASE_LIST(family, table) \
    const clv_case_list clv_cases_##family = {#family, table, sizeof(table) / sizeof(table)[0]}

size_t clv_case_list_count(void);
const clv_case_list *clv_case_list_at(size_t index);

/* A case turned into a node with data. Everything lives in `arena`. */
typedef struct clv_case_data {
    clv_arena arena;
    const clv_case *source;
    clv_node node;
    clv_view *inputs; /* [node.num_inputs], all with data */
    uint32_t known;   /* bit i: input i's value is known to infer() */
    clv_call call;    /* after clv_case_infer: outputs without data, params */
} clv_case_data;

/* INTERNAL where the text of the case is wrong. Call deinit in any case. */
clv_status *clv_case_init(const clv_case *source, uint64_t seed, clv_case_data *out_data)
    CLV_CHECKED;
void clv_case_deinit(clv_case_data *data);

/* Counts, then the op's infer(), then the shapes it gave: what the passes do to a node. */
clv_status *clv_case_infer(clv_case_data *data) CLV_CHECKED;

/* Memory for the outputs of `call`, from arena, filled with 0xff bytes; entries of unwanted outputs
 * have no data. */
clv_status *clv_case_outputs(clv_arena *arena, const clv_call *call, clv_mutable_view **out_views)
    CLV_CHECKED;

/* "f32[2]{1,2}": one tensor from the front of *text; seed for what is random. */
clv_status *clv_case_parse_tensor(
    const char **text, clv_arena *arena, uint64_t seed, clv_view *out_view,
    bool *out_known) CLV_CHECKED;

/* MISMATCH names the worst element. Floats: |got - want| <= rtol * |want| + atol * rms(want), NaN
 * where want has NaN and only there, infinities equal; other types: equal. rtol or atol below 0:
 * bit for bit. */
clv_status *clv_case_compare(
    const char *what, const clv_mutable_view *got, const clv_mutable_view *want, double rtol,
    double atol) CLV_CHECKED;

/* "Conv f32[1,3,8,8] f32[4,3,3,3] pads=[1,1,1,1]" */
const char *clv_case_label(const clv_case *source, char buffer[256]);

#endif
