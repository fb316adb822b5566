/* SPDX-License-Identifier: MIT
 * Every command and every option of the program: the one place where they are described. */
#include "cli/options.h"

#define BIT(id) (1u << IB_COMMAND_##id)
#define RUN BIT(RUN)
#define MODEL_COMMANDS                                                                             \
    (BIT(RUN) | BIT(LOGITS) | BIT(TOKENIZE) | BIT(RENDER) | BIT(INSPECT) | BIT(QUANTIZE) |         \
     BIT(DOWNLOAD) | BIT(VERIFY))
#define COMPUTING (BIT(RUN) | BIT(LOGITS))
#define REPORTING (BIT(RUN) | BIT(REPORT))
#define COMPARE BIT(COMPARE)
#define LISTING (BIT(INSPECT) | BIT(DEVICES) | BIT(DOWNLOAD) | BIT(VERIFY))
#define ALL (MODEL_COMMANDS | BIT(REPORT) | BIT(DEVICES) | COMPARE)

#define FIELD(name) offsetof(ib_options, name)
#define MOST_TOKENS 1000000

const char ib_default_model[] = "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit";

const ib_command ib_commands[IB_COMMAND_COUNT] = {
    {IB_COMMAND_RUN, "run", "", "measure the generation of tokens (the default command)", 0, 0,
     false, false},
    {IB_COMMAND_REPORT, "report", "FILE...", "render saved records again, several side by side", 1,
     IB_OPTIONS_MAX_ARGS, false, false},
    {IB_COMMAND_INSPECT, "inspect", "MODEL",
     "show configuration, tensors, formats, parameters, bytes per token and memory need", 0, 1,
     false, false},
    {IB_COMMAND_TOKENIZE, "tokenize", "", "text to token ids and back, as JSON lines", 0, 0, false,
     false},
    {IB_COMMAND_RENDER, "render", "", "messages to prompt text by a chat template, as JSON lines",
     0, 0, false, false},
    {IB_COMMAND_LOGITS, "logits", "", "teacher-forced logits of given token ids as a NumPy file", 0,
     0, false, false},
    {IB_COMMAND_QUANTIZE, "quantize", "SRC DST",
     "write a bitsandbytes 4-bit model folder from safetensors or GGUF", 2, 2, false, false},
    {IB_COMMAND_DEVICES, "devices", "", "list the devices that a model can run on", 0, 0, false,
     false},
    {IB_COMMAND_HELP, "help", "[COMMAND]", "show help", 0, 1, false, false},
    {IB_COMMAND_MAN, "man", "", "print the manual page (roff)", 0, 0, true, false},
    {IB_COMMAND_COMPLETION, "completion", "", "print a completion script for bash", 0, 0, true,
     false},
    {IB_COMMAND_COMPARE, "compare", "[A.json B.json]",
     "is B slower than A: two settings or builds in interleaved pairs, or two saved records", 0, 2,
     false, false},
    {IB_COMMAND_DOWNLOAD, "download", "[MODEL]",
     "fetch a model of the hub into the local Hugging Face cache; prints its folder", 0, 1, false,
     false},
    {IB_COMMAND_VERIFY, "verify", "[MODEL]",
     "read a cached model again and compare every file with its hash; uses no network", 0, 1, false,
     false},
};

static const ib_choice attn_choices[] = {{"eager", NULL, false},
                                         {"sdpa", NULL, false},
                                         {"flash_attention", "flash_attention_2", false},
                                         {NULL, NULL, false}};
static const ib_choice dtype_choices[] = {{"auto", NULL, false},
                                          {"float32", "fp32", false},
                                          {"bfloat16", "bf16", false},
                                          {"float16", "fp16", false},
                                          {NULL, NULL, false}};
static const ib_choice compute_choices[] = {
    {"auto", NULL, false}, {"float32", NULL, false}, {"int8", NULL, false}, {NULL, NULL, false}};
static const ib_choice run_quant_choices[] = {
    {"none", NULL, false}, {"bf16", NULL, false},   {"fp16", NULL, false}, {"fp32", NULL, false},
    {"nf4", NULL, false},  {"nf4-dq", NULL, false}, {"fp4", NULL, false},  {"fp4-dq", NULL, false},
    {"int8", NULL, false}, {"q4_0", NULL, false},   {"q4_k", NULL, false}, {"q8_0", NULL, false},
    {NULL, NULL, false}};
static const ib_choice engine_choices[] = {
    {"native", NULL, false}, {"synth", NULL, false}, {NULL, NULL, false}};
static const ib_choice switch_choices[] = {
    {"on", NULL, false}, {"off", NULL, false}, {NULL, NULL, false}};
static const ib_choice load_choices[] = {
    {"touch", NULL, false}, {"mmap", NULL, false}, {"read", NULL, false}, {NULL, NULL, false}};
static const ib_choice profile_choices[] = {{"ops", NULL, false}, {NULL, NULL, false}};
static const ib_choice quantize_choices[] = {{"nf4", NULL, false},    {"fp4", NULL, false},
                                             {"nf4-dq", NULL, false}, {"fp4-dq", NULL, false},
                                             {"int8", NULL, true},    {NULL, NULL, false}};
static const ib_choice tier_choices[] = {{"scalar", NULL, false},     {"avx2", NULL, false},
                                         {"avx512", NULL, false},     {"avx512vnni", NULL, false},
                                         {"avx512bf16", NULL, false}, {NULL, NULL, false}};
static const ib_choice form_choices[] = {
    {"text", NULL, false}, {"json", NULL, false}, {NULL, NULL, false}};
static const ib_choice compare_form_choices[] = {{"text", NULL, false},
                                                 {"json", NULL, false},
                                                 {"markdown", NULL, false},
                                                 {"html", NULL, false},
                                                 {NULL, NULL, false}};
static const ib_choice level_choices[] = {{"error", NULL, false},
                                          {"warn", NULL, false},
                                          {"info", NULL, false},
                                          {"debug", NULL, false},
                                          {NULL, NULL, false}};

/* Short forms of the initialisers below; unnamed members are zero. */
#define ROW(n, a, v, c) .name = (n), .aliases = (a), .value = (v), .commands = (c)
#define FLAG(f) .kind = IB_OPTION_FLAG, .offset = FIELD(f), .fallback = ""
#define TEXT(f, d) .kind = IB_OPTION_TEXT, .offset = FIELD(f), .fallback = (d)
#define COUNT(f, lo, hi, d)                                                                        \
    .kind = IB_OPTION_COUNT, .offset = FIELD(f), .min = (lo), .max = (hi), .fallback = (d)
#define CHOICE(f, c, d)                                                                            \
    .kind = IB_OPTION_CHOICE, .offset = FIELD(f), .choices = (c), .fallback = (d)
#define IDS(f, most, d) .kind = IB_OPTION_IDS, .offset = FIELD(f), .max = (most), .fallback = (d)
#define LATER .kind = IB_OPTION_LATER, .fallback = "", .group = "Later"

const ib_option ib_option_rows[] = {
    {ROW("model-id", "m", "MODEL", MODEL_COMMANDS & ~BIT(QUANTIZE)), TEXT(model_id, ""),
     .axis = IB_AXIS_MODEL, .group = "Model",
     .help = "model folder, .gguf file, or the id of a model of the hub, which is fetched into the "
             "local "
             "Hugging Face cache unless it is there; run without it measures "
             "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit; synthetic:NAME or "
             "synthetic:PATH/config.json: random weights of that shape (llama-3.1-8b, "
             "llama-3.1-70b, llama-3.2-1b, tinyllama-1.1b, smollm2-135m, qwen3-0.6b, qwen3-8b, "
             "mistral-7b), with a prompt of ids, -p 512 unless given"},
    {ROW("revision", "", "REV", MODEL_COMMANDS), TEXT(revision, "main"), .group = "Model",
     .help = "branch, tag or commit of a hub id"},
    {ROW("cache-dir", "", "DIR", MODEL_COMMANDS), TEXT(cache_dir, ""), .group = "Model",
     .help = "hub cache to use, before HF_HUB_CACHE and HF_HOME"},
    {ROW("offline", "", NULL, MODEL_COMMANDS), FLAG(offline), .group = "Model",
     .help = "never use the network, as HF_HUB_OFFLINE=1"},
    {ROW("token", "", "TOKEN", MODEL_COMMANDS & ~BIT(VERIFY)), TEXT(token, ""), .group = "Model",
     .help =
         "access token of the hub, for private and gated models; HF_TOKEN and the token file of "
         "huggingface_hub keep it out of the list of processes"},

    {ROW("device", "", "DEVICE", COMPUTING), TEXT(device, "auto"), .axis = IB_AXIS_DEVICE,
     .group = "Computation",
     .help = "auto, cpu, cuda[:N], xpu[:N] or xpu:cpu; auto takes an Intel GPU as xpu, else cuda, "
             "else cpu; a device that is named and absent is an error"},
    {ROW("engine", "", "ENGINE", RUN), CHOICE(engine, engine_choices, "native"),
     .group = "Computation",
     .help =
         "native: this program's own; synth: no model at all, token times drawn from --law, for "
         "tests of the measurement (marked synthetic)"},
    {ROW("law", "", "LAW", RUN), TEXT(law, "lognormal"), .group = "Computation",
     .help = "with --engine synth: constant, lognormal, bimodal, trend, dependent, outliers or "
             "steps, and keys behind colons: lognormal:itl=2ms:run=1%:clock=virtual"},
    {ROW("slow-down", "", "PERCENT", RUN), TEXT(slow_down, ""), .group = "Computation",
     .help = "with --engine synth: every time longer by PERCENT, as a slower build would be"},
    {ROW("attn", "", "KIND", COMPUTING), CHOICE(attn, attn_choices, "eager"), .axis = IB_AXIS_ATTN,
     .group = "Computation", .help = "implementation of attention"},
    {ROW("dtype", "", "TYPE", COMPUTING), CHOICE(dtype, dtype_choices, "auto"),
     .axis = IB_AXIS_DTYPE, .group = "Computation",
     .help = "activations, KV cache and head; float32 implies --compute float32 and overrides the "
             "compute dtype of the checkpoint"},
    {ROW("compute", "", "KIND", COMPUTING), CHOICE(compute, compute_choices, "auto"),
     .group = "Computation",
     .help = "arithmetic of the matrix products; auto may use any whose error is below that of "
             "the reference in bfloat16"},
    {ROW("quant", "", "TYPE", COMPUTING), CHOICE(quant, run_quant_choices, "none"),
     .axis = IB_AXIS_QUANT, .group = "Computation",
     .help = "format of a synthetic model's weights, bf16 unless given; with a real model only "
             "none in this version (quantize writes a quantized folder)"},
    {ROW("threads", "t", "N", COMPUTING | BIT(QUANTIZE)), COUNT(threads, 1, 1024, "automatic"),
     .axis = IB_AXIS_THREADS, .group = "Computation",
     .help = "threads of the CPU backend; automatic: the physical cores allowed to the process"},
    {ROW("pin", "", "CPUS", COMPUTING), TEXT(pin, ""), .group = "Computation",
     .help = "bind the threads of the CPU backend: cores (one to each physical core, by hwloc), or "
             "a list of CPUs (0,2,4-7)"},
    {ROW("load-mode", "", "MODE", COMPUTING), CHOICE(load_mode, load_choices, "touch"),
     .group = "Computation",
     .help =
         "how weights come into memory before the runs: touch (mapped, every page brought in by "
         "all threads), mmap (mapped, pages come when they are used first), read (copied into "
         "memory of its own, in huge pages)"},
    {ROW("cpu-tier", "", "TIER", COMPUTING), CHOICE(cpu_tier, tier_choices, "best"),
     .group = "Computation", .help = "instructions that the CPU backend may use at most"},

    {ROW("max-new-tokens", "n output-len osl", "N", RUN),
     COUNT(max_new_tokens, 1, MOST_TOKENS, "256"), .axis = IB_AXIS_MAX_NEW_TOKENS,
     .group = "Generation", .help = "tokens to generate"},
    {ROW("input-len", "p isl", "N", RUN), COUNT(input_len, 1, MOST_TOKENS, ""),
     .axis = IB_AXIS_INPUT_LEN, .group = "Generation",
     .help = "a prompt of N random token ids in place of text; end ids are ignored then, and none "
             "is forced"},
    {ROW("depth", "d", "N", RUN), COUNT(depth, 0, MOST_TOKENS, "0"), .axis = IB_AXIS_DEPTH,
     .group = "Generation",
     .help = "random token ids in the KV cache in front of the prompt, put there before the timed "
             "part"},
    {ROW("batch", "b batch-size", "N", RUN), COUNT(batch, 1, 4096, "1"), .axis = IB_AXIS_BATCH,
     .group = "Generation",
     .help = "independent sequences at a time; with more than one, end ids are ignored"},
    {ROW("eos-token-id", "", "IDS", RUN), IDS(eos_token_id, 16, "1"), .group = "Generation",
     .help = "ids that end the generation, or none; 1 as the reference has it"},
    {ROW("forced-eos-token-id", "", "ID", RUN), IDS(forced_eos_token_id, 1, "1"),
     .group = "Generation", .help = "id put at the last position, or none"},
    {ROW("ignore-eos", "", NULL, RUN), FLAG(ignore_eos), .group = "Generation",
     .help = "no id ends the generation and none is forced"},
    {ROW("seed", "", "N", COMPUTING), COUNT(seed, 0, UINT64_MAX, "0"), .group = "Generation",
     .help = "seed of the random token ids and of a synthetic model's weights"},

    {ROW("system-prompt", "", "TEXT", RUN), TEXT(system_prompt, "the reference's"),
     .group = "Prompt", .help = "system message; an empty text means none"},
    {ROW("prompt", "", "TEXT", RUN), TEXT(prompt, "the reference's"), .group = "Prompt",
     .help = "user message"},
    {ROW("prompt-file", "", "FILE", RUN), TEXT(prompt_file, ""), .group = "Prompt",
     .help = "read the user message from FILE, every byte of it"},
    {ROW("messages", "", "FILE", RUN), TEXT(messages, ""), .group = "Prompt",
     .help = "JSON file with a list of messages for the chat template"},
    {ROW("token-ids", "", "IDS", COMPUTING), IDS(token_ids, MOST_TOKENS, ""), .group = "Prompt",
     .help = "the prompt as comma-separated token ids"},
    {ROW("no-chat-template", "", NULL, RUN), FLAG(no_chat_template), .group = "Prompt",
     .help = "encode the prompt as plain text"},
    {ROW("no-parse-special", "", NULL, RUN | BIT(TOKENIZE)), FLAG(no_parse_special),
     .group = "Prompt", .help = "special tokens in the text are plain text"},

    {ROW("repetitions", "r num-iters", "N", RUN), COUNT(repetitions, 1, 10000, "1; of a grid 5"),
     .group = "Measurement", .help = "measured runs of each cell"},
    {ROW("warmup", "num-iters-warmup", "N", RUN), COUNT(warmup, 0, 10000, "0; of a grid 1"),
     .group = "Measurement", .help = "runs before them that are kept apart"},
    {ROW("processes", "", "N", RUN), COUNT(processes, 1, 1000, "1"), .group = "Measurement",
     .help =
         "make the runs of each cell in N fresh processes, -r runs in each, one process after the "
         "other, with random padding of environment and heap"},
    {ROW("until-ci", "", "PERCENT", RUN), TEXT(until_ci, ""), .group = "Measurement",
     .help = "repeat until the 95 % interval of the median ITL is within PERCENT of it on both "
             "sides, looking at numbers of runs fixed beforehand (from 5 on; processes with "
             "--processes), each look paid for; or until --max-time"},
    {ROW("max-time", "", "SECONDS", RUN), COUNT(max_time, 1, 10000000, "with --until-ci 600"),
     .group = "Measurement", .help = "start no more runs of a cell after this time"},
    {ROW("resume", "", NULL, RUN), FLAG(resume), .group = "Measurement",
     .help =
         "go on with an interrupted command: the same one with --resume takes what FILE.journal "
         "holds and runs the rest; without a journal it begins at the beginning"},
    {ROW("dry-run", "", NULL, RUN), FLAG(dry_run), .group = "Measurement",
     .help = "show the cells, and the memory that each needs; nothing is run, no weight is read"},
    {ROW("strict", "", NULL, RUN), FLAG(strict), .group = "Measurement",
     .help = "exit with 10 when the measurement is noisy, not only when it is invalid"},

    {ROW("roofline", "", "SWITCH", RUN), CHOICE(roofline, switch_choices, ""),
     .group = "Measurement",
     .help = "measure the machine's read bandwidth and arithmetic rate around the runs and say how "
             "much of them was reached (some 0.3 s); on unless given"},

    {ROW("profile", "", "WHAT", RUN), CHOICE(profile, profile_choices, ""), .group = "Measurement",
     .help = "ops: behind the runs, a pass of its own that waits for each operation: a table of "
             "operations with time, bytes, GB/s and GFLOP/s, and what setting the threads to work "
             "costs"},
    {ROW("peak-gbps", "", "N", RUN), TEXT(peak_text, ""), .group = "Measurement",
     .help =
         "memory bandwidth of the data sheet in GB/s (1e9 bytes): the report says how much of it "
         "decoding reached, beside the share of what was measured"},

    {ROW("a", "", "OPTIONS", COMPARE), TEXT(side_a, ""), .group = "Comparison",
     .help = "options of run for A alone, as one word ('--attn eager'); what else is given goes to "
             "both sides"},
    {ROW("b", "", "OPTIONS", COMPARE), TEXT(side_b, ""), .group = "Comparison",
     .help = "options of run for B alone"},
    {ROW("binary-b", "", "PATH", COMPARE), TEXT(binary_b, ""), .group = "Comparison",
     .help = "program that runs B, in place of this one"},
    {ROW("pairs", "", "N", COMPARE), COUNT(pairs, 1, 1000, "10"), .group = "Comparison",
     .help = "pairs of fresh processes, one of A and one of B in an order drawn by a coin; a "
             "verdict needs 10"},
    {ROW("order-seed", "", "N", COMPARE), COUNT(order_seed, 1, INT64_MAX, "from the clock"),
     .group = "Comparison", .help = "seed of that coin and of the padding of the environment"},
    {ROW("metric", "", "NAME", COMPARE), TEXT(metric, "itl_p50_ms"), .group = "Comparison",
     .help = "the figure that decides: itl_p50_ms, tpot_ms, ttft_ms, itl_p99_ms or e2e_ms"},
    {ROW("fail-if-slower", "", "PERCENT", COMPARE), TEXT(fail_if_slower, ""), .group = "Comparison",
     .help = "exit with 11 when B is slower by PERCENT or more, at alpha 0.01; stored records "
             "cannot decide that and exit with 10 where they look so"},
    {ROW("across", "", NULL, COMPARE), FLAG(across), .group = "Comparison",
     .help = "compare although the work is not the same (other ids, model, quantisation, backend, "
             "version); synthetic weights are never compared with real ones"},

    {ROW("text", "", "TEXT", BIT(TOKENIZE)), TEXT(text, ""), .group = "Input",
     .help = "encode this text and print its ids, in place of JSON lines"},
    {ROW("ids", "", "IDS", BIT(TOKENIZE)), IDS(ids, MOST_TOKENS, ""), .group = "Input",
     .help = "decode these comma-separated ids and print the text"},
    {ROW("no-special-tokens", "", NULL, BIT(TOKENIZE)), FLAG(no_special_tokens), .group = "Input",
     .help = "with --text: leave out the ids that the tokenizer puts around a text"},
    {ROW("skip-special-tokens", "", NULL, BIT(TOKENIZE)), FLAG(skip_special_tokens),
     .group = "Input", .help = "with --ids: leave special tokens out of the text"},
    {ROW("template", "", "FILE", BIT(RENDER)), TEXT(template_file, ""), .group = "Input",
     .help = "a Jinja chat template, in place of the model's"},
    {ROW("n-ctx", "", "N", BIT(INSPECT)), COUNT(n_ctx, 1, 1u << 30, "the model's limit"),
     .group = "Input", .help = "positions to count the KV cache for"},
    {ROW("quant", "", "TYPE", BIT(QUANTIZE)), CHOICE(quant, quantize_choices, ""),
     .group = "Quantization", .help = "4-bit format; -dq: scales quantized too"},
    {ROW("double-quant", "", NULL, BIT(QUANTIZE)), FLAG(double_quant), .group = "Quantization",
     .help = "quantize the scales too"},
    {ROW("blocksize", "", "N", BIT(QUANTIZE)), COUNT(blocksize, 32, 4096, "64"),
     .group = "Quantization", .help = "elements per scale: 32 64 128 256 512 1024 2048 4096"},
    {ROW("max-shard-bytes", "", "N", BIT(QUANTIZE)),
     COUNT(max_shard_bytes, 4096, UINT64_C(1) << 40, "5000000000"), .group = "Quantization",
     .help = "size above which the weights are split into several files; a file is made in memory "
             "before it is written"},
    {ROW("dtype", "", "TYPE", BIT(QUANTIZE)), CHOICE(dtype, dtype_choices, "auto"),
     .group = "Quantization",
     .help = "type of what stays unquantized, and what values are rounded to before they are "
             "quantized; auto: the source's own, bfloat16 for GGUF"},

    {ROW("format", "", "FORMAT", REPORTING), TEXT(format, "text"), .group = "Output",
     .help = "form of the report; with --output it is the form of FILE (json unless given), and "
             "standard output shows the text"},
    {ROW("format", "", "FORMAT", COMPARE), CHOICE(format, compare_form_choices, "text"),
     .group = "Output",
     .help = "form of the comparison; with --output that of FILE (json unless given)"},
    {ROW("format", "", "FORMAT", LISTING), CHOICE(format, form_choices, "text"), .group = "Output",
     .help = "form of the listing"},
    {ROW("output", "o", "FILE", REPORTING | BIT(LOGITS) | COMPARE), TEXT(output, ""),
     .group = "Output",
     .help = "write to FILE, which appears whole or not at all; refused before the run when FILE "
             "exists (an empty file and a NumPy array of logits may be replaced) or its folder "
             "cannot be written"},
    {ROW("force", "", NULL, REPORTING | BIT(LOGITS) | COMPARE), FLAG(force), .group = "Output",
     .help = "replace FILE if it is a regular file; never a link, a folder or an input"},
    {ROW("percentiles", "metric-percentiles", "LIST", REPORTING), .kind = IB_OPTION_PERCENT,
     .offset = FIELD(percentiles), .fallback = "10,25,50,75,90", .group = "Output",
     .help =
         "percentiles of the latencies in every format, 0 to 100, at most 16; of ITL without it "
         "50,90,95,99,99.9"},
    {ROW("print-median", "", NULL, REPORTING), FLAG(print_median), .group = "Output",
     .help = "a median after every tenth token line, as the reference's print_median has it"},
    {ROW("quiet", "", NULL, ALL), FLAG(quiet), .group = "Output",
     .help = "no live lines and no log below errors; with --output nothing on standard output"},
    {ROW("log-level", "", "LEVEL", ALL), CHOICE(log_level, level_choices, "info"),
     .group = "Output", .help = "how much is told on standard error"},
    {ROW("errors", "", "FORM", ALL), CHOICE(errors, form_choices, "text"), .group = "Output",
     .help = "form of the error line on standard error"},
    {ROW("help", "h", NULL, ALL), FLAG(help), .group = "Output", .help = "show this help"},
    {ROW("version", "V", NULL, ALL), FLAG(version), .group = "Output", .help = "show the version"},

    {ROW("print-config", "", NULL, RUN), LATER, .help = "show the settings in force"},
};

const size_t ib_option_n_rows = sizeof ib_option_rows / sizeof ib_option_rows[0];
_Static_assert(sizeof ib_option_rows / sizeof ib_option_rows[0] <= IB_OPTIONS_MAX_ROWS,
               "raise IB_OPTIONS_MAX_ROWS");
