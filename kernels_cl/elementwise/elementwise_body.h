/* The interpreter's frame, for both number domains. The including file defines
 *
 *     EW_T           what a register's element is: float or long
 *     EW_BLOCK       elements a register holds; a multiple of EW_VECTOR
 *     EW_VECTOR      elements that the steps work on at once
 *     ew_load_run(out, base, dtype, index, count)     elements that follow one another
 *     ew_store_run(base, dtype, index, in, count)
 *     ew_run_step(step, registers, count)             one step over a block
 *
 * Work: output elements in row-major order, `chunk` an item, one block at a time: load each operand
 * into its register, run the steps, store the result register. An operation is decoded once a
 * block, so its cost is spread over EW_BLOCK elements. */

/* `count` elements of operand `k` for the output elements from `first` on, along its strides: runs
 * of the innermost dimension, which is dense (stride 1), repeated (stride 0), or neither. */
static void ew_load_strided(
    private EW_T *out, const global uchar *base, private const elementwise_params *p, uint k,
    uint first, uint count) {
    const private uint *dims = p->dims, *strides = p->strides[k];
    const uint dtype = p->dtypes[k], inner = dims[0], step = strides[0];
    uint at[EW_MAX_DIMS];
    uint index = 0, rest = first;
    for (uint d = 0; d < p->num_dims; d++) {
        uint quotient = rest / dims[d];
        at[d] = rest - quotient * dims[d];
        index += at[d] * strides[d];
        rest = quotient;
    }
    for (uint i = 0; i < count;) {
        uint run = min(count - i, inner - at[0]);
        if (step == 1) {
            ew_load_run(out + i, base, dtype, index, run);
        } else if (step == 0) {
            ew_load_run(out + i, base, dtype, index, 1);
            const EW_T value = out[i];
            for (uint j = 1; j < run; j++) {
                out[i + j] = value;
            }
        } else {
            for (uint j = 0; j < run; j++) {
                ew_load_run(out + i + j, base, dtype, index + j * step, 1);
            }
        }
        i += run;
        index -= at[0] * step;
        at[0] = 0;
        for (uint d = 1; d < p->num_dims; d++) {
            index += strides[d];
            if (++at[d] < dims[d]) {
                break;
            }
            index -= dims[d] * strides[d];
            at[d] = 0;
        }
    }
}

static void ew_fill(private EW_T *out, EW_T value, uint from, uint to) {
    for (uint i = from; i < to; i++) {
        out[i] = value;
    }
}

CLV_ONCE CLV_WIDE static void ew_do_item(
    const global uchar *const *operands, global uchar *out, private const elementwise_params *p,
    const ulong item) {
    EW_REGISTERS(storage);
  private
    EW_T *const registers = (private EW_T *)storage;
    const uint begin = (uint)(item * p->chunk);
    const uint end = (uint)min((ulong)begin + p->chunk, p->num_elements);
    for (uint k = 0; k < p->num_operands; k++) {
        if (p->modes[k] == EW_SPLAT) {
          private
            EW_T *to = registers + k * EW_BLOCK;
            ew_load_run(to, operands[k], p->dtypes[k], 0, 1);
            ew_fill(to, to[0], 1, min((uint)EW_BLOCK, (end - begin + EW_VECTOR - 1) & -EW_VECTOR));
        }
    }
    for (uint first = begin; first < end; first += EW_BLOCK) {
        const uint count = min((uint)EW_BLOCK, end - first);
        const uint padded = (count + EW_VECTOR - 1) & -EW_VECTOR;
        for (uint k = 0; k < p->num_operands; k++) {
          private
            EW_T *to = registers + k * EW_BLOCK;
            if (p->modes[k] == EW_DENSE) {
                ew_load_run(to, operands[k], p->dtypes[k], first, count);
                ew_fill(to, 0, count, padded);
            } else if (p->modes[k] == EW_STRIDED) {
                ew_load_strided(to, operands[k], p, k, first, count);
                ew_fill(to, 0, count, padded);
            }
        }
        for (uint s = 0; s < p->num_steps; s++) {
            ew_run_step(&p->steps[s], registers, padded);
        }
        ew_store_run(out, p->out_dtype, first, registers + p->out_register * EW_BLOCK, count);
    }
}

#define EW_KERNEL(name)                                                                           \
    CLV_WIDE kernel void name(                                                                    \
        const global uchar *a, const global uchar *b, const global uchar *c,                      \
        const global uchar *d, const global uchar *e, global uchar *out,                          \
        const elementwise_params p, const clv_range r) {                                          \
        const ulong item = CLV_ITEM(r);                                                           \
        if (item >= r.end) {                                                                      \
            return;                                                                               \
        }                                                                                         \
        const global uchar *operands[EW_MAX_OPERANDS] = {                                         \
            a + r.offset[0], b + r.offset[1], c + r.offset[2], d + r.offset[3], e + r.offset[4]}; \
        ew_do_item(operands, out + r.offset[5], &p, item);                                        \
    }
