"""What Rung does with each argument of TRL's configurations: honoured, or refused with the reason.

An argument stands in one of two tables. One that stands in neither is refused too: that a trainer of TRL's has it says
nothing about what becomes of it here, where rows, batches, evaluations and checkpoints are Rung's. Whoever adds an
argument to HONOURED has seen that it reaches the trainer and that nothing of Rung's overrides it.
"""

from dataclasses import dataclass
from typing import Any

# Of transformers.TrainingArguments, for every method: what the trainer's own loop and optimizer do.
SHARED_HONOURED = frozenset(
    {
        "adam_beta1", "adam_beta2", "adam_epsilon", "optim", "optim_args", "lr_scheduler_kwargs",
        "per_device_eval_batch_size", "gradient_checkpointing_kwargs", "neftune_noise_alpha", "torch_empty_cache_steps",
        "tf32", "full_determinism",
        # For `report_to: [trackio]`.
        "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id",
    }
)  # fmt: skip
_SFT = {"loss_type", "pad_to_multiple_of", "router_aux_loss_coef"}
_REFERENCE = {
    "beta", "disable_dropout", "loss_type", "pad_to_multiple_of", "precompute_ref_batch_size",
    "precompute_ref_log_probs", "router_aux_loss_coef",
}  # fmt: skip
_DPO = _REFERENCE | {
    "discopop_tau", "f_alpha_divergence_coef", "f_divergence_type", "label_smoothing", "ld_alpha", "loss_weights",
    "use_weighting",
}  # fmt: skip
_ANSWERS = {
    "beta", "cache_implementation", "disable_dropout", "generation_kwargs", "max_completion_length", "min_p",
    "pad_to_multiple_of", "repetition_penalty", "temperature", "top_k", "top_p",
}  # fmt: skip
_GROUPS = _ANSWERS | {
    "epsilon", "epsilon_high", "generation_batch_size", "mask_truncated_completions", "num_generations",
    "num_generations_eval", "num_iterations", "router_aux_loss_coef", "steps_per_generation",
}  # fmt: skip

DISTILL_LOGITS = "distill, mode logits"
"""The configuration of distillation from probabilities; `distill` is that from answers."""

# Configuration -> its own arguments that are honoured, written in the method's block.
HONOURED: dict[str, frozenset[str]] = {
    "sft": frozenset(_SFT),
    "cpt": frozenset(_SFT),
    "distill": frozenset(_SFT),
    DISTILL_LOGITS: frozenset(_ANSWERS),
    "dpo": frozenset(_DPO),
    "constitution": frozenset(_DPO),
    "kto": frozenset(_REFERENCE | {"desirable_weight", "undesirable_weight"}),
    "orpo": frozenset({"beta", "disable_dropout"}),
    "reward": frozenset({"center_rewards_coefficient", "disable_dropout", "pad_to_multiple_of"}),
    "grpo": frozenset(
        _GROUPS
        | {
            "delta", "entropy_coef", "entropy_coef_delta", "entropy_coef_max", "entropy_coef_min", "entropy_target",
            "importance_sampling_level", "loss_type", "multi_objective_aggregation", "off_policy_mask_threshold",
            "sapo_temperature_neg", "sapo_temperature_pos", "scale_rewards", "top_entropy_quantile",
            "use_adaptive_entropy", "use_bias_correction_kl", "vespo_k_neg", "vespo_k_pos", "vespo_lambda_neg",
            "vespo_lambda_pos",
        }
    ),
    "rloo": frozenset(_GROUPS | {"normalize_advantages", "reward_clip_range"}),
}  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """Why an argument is not taken, and what to do. `off`: to write false or null says what is done anyway."""

    reason: str
    hint: str = "leave it out"
    off: bool = False

    def covers(self, value: Any) -> bool:
        """Whether the argument with this value is refused."""
        return not (self.off and (value is None or value is False))

    def __str__(self) -> str:
        return f"{self.reason}; {self.hint}"


UNKNOWN_HERE = Refusal("an argument of TRL's that Rung doesn't know, so it can't say that it would be done")


def _refusals(names: str, reason: str, hint: str = "leave it out", off: bool = False) -> dict[str, Refusal]:
    return {name: Refusal(reason, hint, off) for name in names.split()}


REFUSED: dict[str, Refusal] = {
    # Not done yet.
    **_refusals(
        "packing eval_packing padding_free",
        "not built yet in Rung: rows are batched by length instead, each batch padded to its own longest row",
        off=True,
    ),
    **_refusals("packing_strategy", "packing is not built yet in Rung: rows are batched by length instead"),
    **_refusals("activation_offloading", "not built yet in Rung, and its memory forecast doesn't know it",
        "training.gradient_checkpointing takes less memory too", off=True),
    **_refusals("use_liger_kernel liger_kernel_config", "Liger's kernels are not built into Rung yet", off=True),
    **_refusals("torch_compile torch_compile_backend torch_compile_mode",
        "not built yet in Rung: batches of many lengths would be compiled again and again", off=True),
    **_refusals(
        "use_vllm vllm_enable_sleep_mode vllm_gpu_memory_utilization vllm_group_port vllm_importance_sampling_cap "
        "vllm_importance_sampling_clip_max vllm_importance_sampling_clip_min vllm_importance_sampling_correction "
        "vllm_importance_sampling_mode vllm_max_model_length vllm_mode vllm_model_impl vllm_server_base_url "
        "vllm_server_host vllm_server_port vllm_server_timeout vllm_structured_outputs_regex "
        "vllm_tensor_parallel_size", "vLLM is not built into Rung's training yet: the model answers itself", off=True),
    **_refusals(
        "use_transformers_paged use_transformers_continuous_batching transformers_continuous_batching_config",
        "not built yet in Rung: the model answers in plain batches", off=True),
    **_refusals("cast_lm_head_to_fp32", "undone by the autocast that Rung trains under",
        "model.dtype: float32 computes everything in float32", off=True),
    **_refusals("sync_ref_model ref_model_mixup_alpha ref_model_sync_steps",
        "a reference that moves is in no checkpoint, so a resumed run would be another one", off=True),
    **_refusals("generate_during_eval", "the pinned prompts are answered instead", "samples.prompts names them",
        off=True),
    **_refusals("is_encoder_decoder", "Rung trains models that go on with a text, no encoder-decoders", off=True),
    **_refusals("max_tool_calling_iterations", "answers that call tools are not built yet in Rung", off=True),
    **_refusals("optim_target_modules", "optimizers that project gradients (GaLore, APOLLO) are not built into Rung",
        off=True),
    # One device a run.
    **_refusals(
        "accelerator_config average_tokens_across_devices ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb "
        "ddp_find_unused_parameters ddp_static_graph ddp_timeout deepspeed ds3_gather_for_generation fsdp fsdp_config "
        "local_rank parallelism_config save_on_each_node log_on_each_node log_level_replica eval_use_gather_object",
        "a run of Rung's is one process on one device", off=True),
    **_refusals("use_cpu dataloader_pin_memory", "Rung chooses the device, and pins memory where it is a GPU"),
    # Precision.
    **_refusals("bf16 fp16", "Rung decides by model.dtype what weights and layers compute in", "set model.dtype"),
    **_refusals("bf16_full_eval fp16_full_eval",
        "an evaluation would round the weights that are trained", "set model.dtype", off=True),
    **_refusals("activation_checkpointing", "Rung's name is gradient_checkpointing",
        "set training.gradient_checkpointing"),
    **_refusals("activation_checkpointing_kwargs", "Rung's name is gradient_checkpointing_kwargs",
        "set training.gradient_checkpointing_kwargs"),
    **_refusals("use_cache", "training keeps no cache of keys and values", off=True),
    # The run's folder, what it reports and what it keeps.
    **_refusals("output_dir", "a run's files lie in its own folder, runs/ID"),
    **_refusals("run_name", "a run is called by its id", "set name, at the recipe's top"),
    **_refusals("report_to", "stands at the recipe's top", "set report_to there"),
    **_refusals(
        "disable_tqdm log_level logging_first_step logging_nan_inf_filter logging_steps logging_strategy "
        "skip_memory_metrics include_num_input_tokens_seen debug",
        "Rung reports every step with its figures, memory and tokens"),
    **_refusals(
        "log_completions log_completions_hub_repo log_multimodal log_unique_prompts num_completions_to_print",
        "answers are shown by Rung's samples", "samples.prompts names the prompts", off=True),
    **_refusals(
        "save_strategy save_only_model enable_jit_checkpoint restore_callback_states_from_checkpoint "
        "ignore_data_skip resume_from_checkpoint",
        "Rung writes checkpoints that are whole, and rung resume goes on from them", "set training.save_steps"),
    **_refusals("push_to_hub hub_always_push hub_model_id hub_private_repo hub_revision hub_strategy hub_token",
        "a run publishes nothing", "rung export writes what it made", off=True),
    **_refusals("eval_strategy eval_delay eval_on_start",
        "Rung evaluates before the first step, every training.eval_steps, and at the end", "set training.eval_steps"),
    **_refusals("load_best_model_at_end metric_for_best_model greater_is_better",
        "the checkpoint with the best validation figure becomes the result in any case"),
    **_refusals(
        "batch_eval_metrics eval_accumulation_steps eval_do_concat_batches include_for_metrics label_names "
        "prediction_loss_only", "Rung's evaluations gather figures, no predictions"),
    **_refusals("do_train do_eval do_predict", "nothing in a trainer reads it"),
    # The length of the run and the order of its rows.
    **_refusals("warmup_steps", "Rung warms up by a share of the steps", "set training.warmup_ratio"),
    **_refusals("auto_find_batch_size", "Rung halves the batch itself when memory runs out", off=True),
    **_refusals("seed data_seed", "one seed draws order, dropout and new weights", "set seed, at the recipe's top"),
    **_refusals("shuffle_dataset train_sampling_strategy length_column_name dataloader_drop_last",
        "Rung orders the batches itself, so that a resumed run sees the same ones, and leaves out no row"),
    **_refusals(
        "dataloader_in_order dataloader_multiprocessing_context dataloader_num_workers "
        "dataloader_persistent_workers dataloader_prefetch_factor",
        "rows are tokenised before training, and a batch is put together where it is trained, so that a bad row can "
        "be named"),
    # Rows: read, tokenised, cut and masked by rung.engine.data, the same for check, training and screens.
    **_refusals("max_length", "stands in the block data", "set data.max_length"),
    **_refusals("truncation_mode", "Rung cuts rows itself, and says which", "set data.max_length"),
    **_refusals("assistant_only_loss completion_only_loss", "Rung masks rows itself", "set data.loss_on"),
    **_refusals("chat_template_path", "stands in the block model", "set model.chat_template"),
    **_refusals("chat_template_kwargs", "stands in the block model", "set model.template_args"),
    **_refusals("dataset_text_field", "Rung reads rows itself", "set data.columns"),
    **_refusals("dataset_kwargs dataset_num_proc remove_unused_columns", "Rung reads and tokenises rows itself"),
    **_refusals("eos_token pad_token padding_value", "the tokenizer's own are used, as the model was trained"),
    # The models.
    **_refusals("model_init_kwargs", "Rung loads the model by the recipe's block model",
        "set model.dtype, model.attention or model.revision"),
    **_refusals("trust_remote_code", "stands in the block model", "set model.trust_remote_code"),
    **_refusals("teacher_model_name_or_path teacher_model_revision teacher_model_init_kwargs",
        "stands in the block distill", "set distill.teacher.model"),
    **_refusals("reward_weights", "each reward has its own weight", "set weight where the reward is named"),
    **_refusals("max_completion_length", "read for encoder-decoders alone", "set data.max_length"),
    **_refusals("label_smoothing_factor",
        "TRL's losses don't know it, but SFT's, which takes a second forward pass for it and will drop it"),
}  # fmt: skip
