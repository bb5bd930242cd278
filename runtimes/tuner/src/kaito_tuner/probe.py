"""The probes of the doctor. Everything heavy is imported inside the functions."""

import tempfile
from typing import Any


class TorchProber:
    """Tries the real libraries on small random data."""

    def forward_backward(self) -> str:
        """Train a matrix for one step."""
        import torch

        torch.manual_seed(1)
        weight = torch.randn(8, 8, requires_grad=True)
        loss = (torch.randn(4, 8) @ weight).pow(2).mean()
        loss.backward()
        if weight.grad is None or not bool(torch.isfinite(weight.grad).all()):
            raise RuntimeError("the gradient is not finite")
        return f"loss {loss.item():.4f}, {torch.get_num_threads()} threads"

    def qlora_step(self) -> str:
        """Train adapters on a small 4-bit model for one step with TRL."""
        import torch
        from datasets import Dataset
        from peft import LoraConfig, prepare_model_for_kbit_training
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig
        from trl import SFTConfig, SFTTrainer

        with tempfile.TemporaryDirectory() as folder:
            tokenizer = _random_model(folder)
            quantized = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=torch.bfloat16,
            )
            model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=quantized, dtype=torch.bfloat16)
            layer = type(model.model.layers[0].self_attn.q_proj).__name__
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
            trainer = SFTTrainer(
                model=model,
                args=SFTConfig(
                    output_dir=folder,
                    max_steps=1,
                    per_device_train_batch_size=2,
                    max_length=16,
                    report_to="none",
                    save_strategy="no",
                    gradient_checkpointing=False,
                    bf16=True,
                    use_cpu=True,
                    seed=1,
                    disable_tqdm=True,
                ),
                train_dataset=Dataset.from_dict({"text": ["a b c d e f g"] * 4}),
                processing_class=tokenizer,
                peft_config=LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"]),
            )
            loss = float(trainer.train().training_loss)
        if layer != "Linear4bit":
            raise RuntimeError(f"the projections are {layer}, want Linear4bit")
        return f"loss {loss:.4f}, base layers {layer}"


def _random_model(folder: str) -> Any:
    """Write a one-layer Llama with random weights and its tokenizer into a folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer
