// SPDX-License-Identifier: MIT
// The CUDA runtime on the processor, for tests (emulator.h). Streams run at once; a capture records
// launches, copies and memsets, and a graph replays them. Faults on demand, by environment:
//   IB_EMULATOR_DEVICES=N   how many devices there are (default 1; -1: no driver)
//   IB_EMULATOR_ARCH=NM     compute capability (default 90)
//   IB_EMULATOR_MEMORY=N    bytes of device memory (default 4 GiB)
//   IB_EMULATOR_FAIL=K      the K-th allocation fails (out of memory)
//   IB_EMULATOR_LOST=K      the K-th launch fails, and every call after it (a sticky error)
//   IB_EMULATOR_ORDER=0|1|2 fibers in rising order, falling order, or shuffled
#include "emulator.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <vector>
#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace emu {
position at;
}

namespace {

long setting(const char *name, long otherwise) {
    const char *v = getenv(name);
    return v && *v ? strtol(v, nullptr, 10) : otherwise;
}

// ---------------------------------------------------------------- fibers
enum { STACK = 128 * 1024 };

#ifdef __x86_64__
// Saves what a call must keep, then goes on where `to` was saved: no system call, as swapcontext
// would make two of.
extern "C" void emu_switch(void **from, void *to);
asm(".text\n"
    ".type emu_switch,@function\n"
    "emu_switch:\n"
    "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
    "movq %rsp, (%rdi)\n"
    "movq %rsi, %rsp\n"
    "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n"
    "ret\n"
    ".size emu_switch, . - emu_switch\n");
typedef void *context;
void make(context &c, char *stack, size_t bytes, void (*entry)()) {
    uintptr_t top = ((uintptr_t)stack + bytes) & ~(uintptr_t)15;
    void **at = (void **)(top - 64); // six registers, the entry, and a word for alignment
    for (int i = 0; i < 6; i++)
        at[i] = nullptr;
    at[6] = (void *)entry;
    at[7] = nullptr;
    c = at;
}
void change(context &from, context &to) {
    emu_switch(&from, to);
}
#else
typedef ucontext_t context;
void make(context &c, char *stack, size_t bytes, void (*entry)()) {
    getcontext(&c);
    c.uc_stack.ss_sp = stack;
    c.uc_stack.ss_size = bytes;
    c.uc_link = nullptr;
    makecontext(&c, entry, 0);
}
void change(context &from, context &to) {
    swapcontext(&from, &to);
}
#endif

struct fiber {
    context where;
    std::vector<char> stack;
    dim3 thread;
    bool done;
};

struct warp_state {
    uint64_t in[32], out[32];
    unsigned arrived, alive, generation;
};

struct block_state {
    std::vector<fiber *> fibers;
    std::vector<warp_state> warps;
    unsigned n = 0, arrived = 0, alive = 0, generation = 0, current = 0;
    unsigned long progress = 0;
    const std::function<void()> *body = nullptr;
    context scheduler;
};
block_state block;
std::vector<uint8_t> dynamic_memory;

void release_block() {
    if (block.alive && block.arrived == block.alive) {
        block.arrived = 0;
        block.generation++;
        block.progress++;
    }
}

void release_warp(warp_state &w) {
    if (w.alive && w.arrived == w.alive) {
        memcpy(w.out, w.in, sizeof w.out);
        memset(w.in, 0, sizeof w.in);
        w.arrived = 0;
        w.generation++;
        block.progress++;
    }
}

void yield() {
    unsigned me = block.current;
    emu::position here = emu::at;
    change(block.fibers[me]->where, block.scheduler);
    emu::at = here;
}

void enter() {
    fiber *f = block.fibers[block.current];
    (*block.body)();
    warp_state &w = block.warps[block.current / 32];
    f->done = true;
    block.alive--;
    w.alive--;
    block.progress++;
    release_block();
    release_warp(w);
    change(f->where, block.scheduler);
}

void prepare(const dim3 &size) {
    block.n = size.x * size.y * size.z;
    while (block.fibers.size() < block.n) {
        fiber *f = new fiber;
        f->stack.resize(STACK);
        block.fibers.push_back(f);
    }
    block.warps.assign((block.n + 31) / 32, warp_state{});
    block.arrived = block.generation = 0;
    block.alive = block.n;
    for (unsigned i = 0; i < block.n; i++) {
        fiber *f = block.fibers[i];
        f->done = false;
        f->thread = dim3(i % size.x, i / size.x % size.y, i / (size.x * size.y));
        make(f->where, f->stack.data(), f->stack.size(), enter);
        block.warps[i / 32].alive++;
    }
}

void run_block(const std::function<void()> &body, const dim3 &index, const dim3 &size,
               const dim3 &grid) {
    static const long order = setting("IB_EMULATOR_ORDER", 0);
    static unsigned seed = 1;
    prepare(size);
    block.body = &body;
    unsigned step = 1, start = 0;
    if (order == 2) { // a stride without a common factor visits every fiber in another order
        seed = seed * 1664525u + 1013904223u;
        step = (seed >> 8 | 1u) % (block.n | 1u);
        while (step == 0 || [&] {
            unsigned a = step, b = block.n;
            while (b) {
                unsigned t = a % b;
                a = b;
                b = t;
            }
            return a != 1;
        }())
            step++;
        start = (seed >> 4) % block.n;
    }
    while (block.alive) {
        unsigned long before = block.progress;
        for (unsigned k = 0; k < block.n; k++) {
            unsigned i =
                order == 1 ? block.n - 1 - k : (unsigned)((start + (uint64_t)k * step) % block.n);
            fiber *f = block.fibers[i];
            if (f->done)
                continue;
            block.current = i;
            emu::at = {f->thread, index, size, grid};
            change(block.scheduler, f->where);
        }
        if (block.alive && block.progress == before) {
            fprintf(stderr, "emulator: the threads of a block wait for each other\n");
            abort();
        }
    }
}

// ---------------------------------------------------------------- runtime
struct action {
    std::function<void()> run;
};
long n_allocations, n_launches;
bool lost;
size_t in_use;
std::map<void *, size_t> sizes;

cudaError_t alive(cudaError_t otherwise = cudaSuccess) {
    return lost ? cudaErrorIllegalAddress : otherwise;
}

} // namespace

struct emu_stream {
    bool capturing = false;
    std::vector<action> recorded;
};
struct emu_event {
    timespec when;
};
struct emu_graph {
    std::vector<action> actions;
};
struct emu_graph_exec {
    std::vector<action> actions;
};

namespace emu {

void sync_block() {
    unsigned mine = block.generation;
    block.arrived++;
    block.progress++;
    release_block();
    while (block.generation == mine)
        yield();
}

unsigned lane() {
    return block.current % 32;
}

void exchange(uint64_t value, uint64_t all[32]) {
    warp_state &w = block.warps[block.current / 32];
    unsigned mine = w.generation;
    w.in[lane()] = value;
    w.arrived++;
    block.progress++;
    release_warp(w);
    while (w.generation == mine)
        yield();
    memcpy(all, w.out, sizeof w.out);
}

uint8_t *dynamic_shared() {
    return dynamic_memory.data() + (16 - (uintptr_t)dynamic_memory.data() % 16) % 16;
}

cudaError_t run(cudaStream_t s, launch l) {
    static const long lost_at = setting("IB_EMULATOR_LOST", 0);
    if (alive() != cudaSuccess)
        return alive();
    auto work = [l] {
        dynamic_memory.assign(l.dynamic_bytes + 32, 0xFF);
        for (unsigned z = 0; z < l.grid.z; z++)
            for (unsigned y = 0; y < l.grid.y; y++)
                for (unsigned x = 0; x < l.grid.x; x++)
                    run_block(l.body, dim3(x, y, z), l.block, l.grid);
    };
    if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0 || l.grid.y > 65535 || l.grid.z > 65535 ||
        l.block.x * l.block.y * l.block.z == 0 || l.block.x * l.block.y * l.block.z > 1024)
        return cudaErrorInvalidValue;
    if (s->capturing)
        s->recorded.push_back({work});
    else
        work();
    if (++n_launches == lost_at)
        lost = true;
    return alive();
}

} // namespace emu

float emu_half_to_float(uint16_t h) {
    _Float16 f;
    memcpy(&f, &h, 2);
    return (float)f;
}
uint16_t emu_float_to_half(float x) {
    _Float16 f = (_Float16)x;
    uint16_t h;
    memcpy(&h, &f, 2);
    return h;
}

static cudaError_t submit(cudaStream_t s, std::function<void()> f) {
    if (alive() != cudaSuccess)
        return alive();
    if (s->capturing)
        s->recorded.push_back({f});
    else
        f();
    return cudaSuccess;
}

extern "C" {

cudaError_t cudaGetDeviceCount(int *n) {
    long devices = setting("IB_EMULATOR_DEVICES", 1);
    *n = devices > 0 ? (int)devices : 0;
    return devices < 0    ? cudaErrorInsufficientDriver
           : devices == 0 ? cudaErrorNoDevice
                          : cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    int n;
    return cudaGetDeviceCount(&n) == cudaSuccess && device < n ? alive() : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
    int n;
    memset(p, 0, sizeof *p);
    if (cudaGetDeviceCount(&n) != cudaSuccess || device >= n)
        return cudaErrorInvalidDevice;
    snprintf(p->name, sizeof p->name, "Emulated device %d", device);
    p->totalGlobalMem = (size_t)setting("IB_EMULATOR_MEMORY", 4l << 30);
    p->sharedMemPerBlockOptin = 227 * 1024;
    long arch = setting("IB_EMULATOR_ARCH", 90);
    p->major = (int)(arch / 10);
    p->minor = (int)(arch % 10);
    p->multiProcessorCount = 4;
    p->l2CacheSize = 16 << 10;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *v) {
    *v = 13000;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *v) {
    *v = 13000;
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    *total = (size_t)setting("IB_EMULATOR_MEMORY", 4l << 30);
    *free_bytes = *total > in_use ? *total - in_use : 0;
    return alive();
}
static cudaError_t allocate(void **p, size_t bytes, bool device) {
    static const long fail_at = setting("IB_EMULATOR_FAIL", 0);
    *p = nullptr;
    if (alive() != cudaSuccess)
        return alive();
    if (++n_allocations == fail_at)
        return cudaErrorMemoryAllocation;
    if (device && in_use + bytes > (size_t)setting("IB_EMULATOR_MEMORY", 4l << 30))
        return cudaErrorMemoryAllocation;
    if (posix_memalign(p, 256, bytes ? bytes : 1) != 0)
        return cudaErrorMemoryAllocation;
    memset(*p, 0xFF, bytes); // what was never written is NaN
    if (device) {
        in_use += bytes;
        sizes[*p] = bytes;
    }
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t bytes) {
    return allocate(p, bytes, true);
}
cudaError_t cudaFree(void *p) {
    if (p) {
        in_use -= sizes[p];
        sizes.erase(p);
        free(p);
    }
    return alive();
}
cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned) {
    return allocate(p, bytes, false);
}
cudaError_t cudaFreeHost(void *p) {
    free(p);
    return alive();
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind,
                            cudaStream_t s) {
    return submit(s, [=] { memcpy(to, from, bytes); });
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s) {
    return submit(s, [=] { memset(p, value, bytes); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    *s = new emu_stream;
    return alive();
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
    delete s;
    return alive();
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    return s->capturing ? cudaErrorStreamCaptureUnsupported : alive();
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode) {
    s->recorded.clear();
    s->capturing = true;
    return alive();
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g) {
    s->capturing = false;
    *g = new emu_graph{s->recorded};
    s->recorded.clear();
    return alive();
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *e, cudaGraph_t g, unsigned long long) {
    *e = new emu_graph_exec{g->actions};
    return alive();
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t) {
    if (alive() != cudaSuccess)
        return alive();
    for (action &a : e->actions)
        a.run();
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t g) {
    delete g;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t e) {
    delete e;
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) {
    *e = new emu_event{};
    return alive();
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
    delete e;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t) {
    clock_gettime(CLOCK_MONOTONIC, &e->when);
    return alive();
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return alive();
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    *ms = (float)((double)(to->when.tv_sec - from->when.tv_sec) * 1e3 +
                  (double)(to->when.tv_nsec - from->when.tv_nsec) * 1e-6);
    return alive();
}
cudaError_t cudaGetLastError(void) {
    return alive();
}
const char *cudaGetErrorName(cudaError_t e) {
    switch (e) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
        return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
        return "cudaErrorNoDevice";
    case cudaErrorIllegalAddress:
        return "cudaErrorIllegalAddress";
    default:
        return "cudaError";
    }
}
const char *cudaGetErrorString(cudaError_t e) {
    return e == cudaErrorMemoryAllocation ? "out of memory"
           : e == cudaErrorIllegalAddress ? "an illegal memory access was encountered"
                                          : "emulated error";
}

} // extern "C"
