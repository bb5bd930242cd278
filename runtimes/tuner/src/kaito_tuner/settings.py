"""The three sections of ``training_config.yaml`` that no library defines.

Their names and keys are those that existing configurations use. Only keys that the
options table does not mark as owned are ever set to anything but their default.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelConfig:
    """How the model is loaded."""

    pretrained_model_name_or_path: str | None = None
    state_dict: dict[str, str] | None = None
    cache_dir: str | None = None
    force_download: bool = False
    proxies: dict[str, str] | None = None
    output_loading_info: bool = False
    local_files_only: bool = True
    revision: str | None = None
    trust_remote_code: bool = False
    torch_dtype: str = "auto"
    device_map: str | None = None
    chat_template: str | None = None


@dataclass(frozen=True)
class DatasetConfig:
    """Which columns are read, and in which order rows are trained."""

    dataset_path: str | None = None
    dataset_extension: str | None = None
    shuffle_dataset: bool = True
    shuffle_seed: int = 42
    context_column: str | None = None
    response_column: str | None = None
    messages_column: str | None = None
    train_test_split: float = 1.0


@dataclass(frozen=True)
class DataCollator:
    """How rows become batches."""

    mlm: bool = False
    mlm_probability: float | None = None
    mask_replace_prob: float | None = None
    random_replace_prob: float | None = None
    pad_to_multiple_of: int | None = None
    tf_experimental_compile: bool = False
    return_tensors: str = "pt"
    seed: int | None = None
