/* A delegate in a shared library, for tests: it takes the nodes of one builtin op, or none,
   and answers with a constant or with a copy of its first input, or fails.

   Options: "op" (number of a builtin op, -1 takes none), "answer" ("copy" or "ones"),
   "fail" ("create" or "prepare"). The structures are those of the public C interface,
   tflite/core/c/common.h (its order of fields is kept between versions), of the context only
   the first fields. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct {
    int type;
    void *data;
    IntArray *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    _Bool data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;
typedef struct Context Context;
typedef struct Delegate Delegate;
typedef struct { IntArray *inputs, *outputs; } Node;
typedef struct Registration {
    void *(*init)(Context *, const char *, size_t);
    void (*free)(Context *, void *);
    int (*prepare)(Context *, Node *);
    int (*invoke)(Context *, Node *);
    const char *(*profiling_string)(const Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *registration_external;
    void *async_kernel;
    uint64_t inplace_operator;
} Registration;
struct Context {
    size_t tensors_size;
    int (*get_execution_plan)(Context *, IntArray **);
    Tensor *tensors;
    void *impl;
    int (*resize_tensor)(Context *, Tensor *, IntArray *);
    void (*report_error)(Context *, const char *, ...);
    int (*add_tensors)(Context *, int, int *);
    int (*get_node)(Context *, int, Node **, Registration **);
    int (*replace)(Context *, Registration, const IntArray *, Delegate *);
};
struct Delegate {
    void *data;
    int (*prepare)(Context *, Delegate *);
    int (*copy_from)(void);
    int (*copy_to)(void);
    void (*free_handle)(void);
    int64_t flags;
    void *opaque;
};

enum { DELEGATE = 51 };

static int op = -1, ones = 0, fail_prepare = 0;

static int invoke(Context *context, Node *node) {
    Tensor *out = &context->tensors[node->outputs->data[0]];
    Tensor *in = &context->tensors[node->inputs->data[0]];
    if (ones) {
        float *values = out->data;
        for (size_t i = 0; i < out->bytes / sizeof(float); i++) values[i] = 1.0f;
    } else {
        memcpy(out->data, in->data, out->bytes < in->bytes ? out->bytes : in->bytes);
    }
    return 0;
}

static int prepare(Context *context, Delegate *delegate) {
    IntArray *plan, *taken;
    Registration kernel = {
        .invoke = invoke, .builtin_code = DELEGATE, .custom_name = "TestDelegate", .version = 1
    };
    if (fail_prepare) {
        context->report_error(context, "the test delegate does not like this graph");
        return 1;
    }
    if (context->get_execution_plan(context, &plan) != 0) return 1;
    taken = malloc(sizeof(IntArray) + sizeof(int) * plan->size);
    taken->size = 0;
    for (int i = 0; i < plan->size; i++) {
        Node *node;
        Registration *registration;
        if (context->get_node(context, plan->data[i], &node, &registration) != 0) return 1;
        if (registration->builtin_code == op) taken->data[taken->size++] = plan->data[i];
    }
    int status = taken->size ? context->replace(context, kernel, taken, delegate) : 0;
    free(taken);
    return status;
}

Delegate *tflite_plugin_create_delegate(
    const char *const *keys, const char *const *values, size_t count, void (*report)(const char *)
) {
    static Delegate delegate;
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(keys[i], "op")) op = atoi(values[i]);
        else if (!strcmp(keys[i], "answer")) ones = !strcmp(values[i], "ones");
        else if (!strcmp(keys[i], "fail") && !strcmp(values[i], "prepare")) fail_prepare = 1;
        else if (!strcmp(keys[i], "fail")) { report("no device found"); return NULL; }
        else { report("unknown option"); return NULL; }
    }
    delegate.prepare = prepare;
    return &delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { (void)delegate; }
