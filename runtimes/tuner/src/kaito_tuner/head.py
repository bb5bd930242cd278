"""The loss of a language model on a CPU, on those tokens alone that are trained.

TRL's own way scores every position and computes figures that nobody asks for, and
without a GPU's kernels it multiplies by the vocabulary three times, in float32. Here the
gradient is taken in the same pass as the loss, so the vocabulary is multiplied twice, in
the weights' own numbers.
"""

import types
from collections.abc import Callable
from typing import Any

import torch

IGNORED = -100

# Logits that exist at a time, as float32.
LOGITS = 32 << 20


class HeadLoss(torch.autograd.Function):  # type: ignore[misc]
    """The sum of negative log-probabilities of targets, given hidden states and the head's weights."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Compute the loss, and its gradient at once: the logits are at hand only now."""
        count, vocabulary = hidden.shape[0], weight.shape[0]
        stretch = max(1, LOGITS // (4 * vocabulary))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        with torch.autocast(hidden.device.type, enabled=False):
            for begin in range(0, count, stretch):
                part, wanted = hidden[begin : begin + stretch].to(weight.dtype), targets[begin : begin + stretch]
                logits = (part @ weight.t()).float()
                norm = torch.logsumexp(logits, dim=-1)
                total += (norm - logits.gather(1, wanted.unsqueeze(1)).squeeze(1)).sum()
                if gradient is not None:
                    probabilities = logits.sub_(norm.unsqueeze(1)).exp_()
                    probabilities[torch.arange(len(wanted)), wanted] -= 1
                    gradient[begin : begin + stretch] = (probabilities.to(weight.dtype) @ weight).to(gradient.dtype)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        """Scale what forward has found."""
        (gradient,) = ctx.saved_tensors
        return (None if gradient is None else gradient * upstream.to(gradient.dtype)), None, None


def plain(model: Any) -> bool:
    """Whether logits are nothing but hidden states times the head's weights."""
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    scaled = any(
        getattr(config, key, None) not in (None, 1, 1.0)
        for key in (
            "final_logit_softcapping",
            "logit_scale",
            "logits_scaling",
            "output_multiplier",
            "lm_head_multiplier",
        )
    )
    return type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad and not scaled


def add_lean_loss(model: Any) -> bool:
    """Teach a model ``forward(..., labels=labels, lean_loss=True)``; answers whether it could.

    That returns the summed loss and the number of trained tokens.
    """
    if not plain(model):
        return False
    before: Callable[..., Any] = model.forward

    def forward(self: Any, *args: Any, lean_loss: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not lean_loss:
            return before(*args, labels=labels, **kwargs) if labels is not None else before(*args, **kwargs)
        kwargs["use_cache"] = False
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        trained = wanted != IGNORED
        loss = HeadLoss.apply(hidden[trained], self.get_output_embeddings().weight, wanted[trained])
        return loss, trained.sum()

    model.forward = types.MethodType(forward, model)
    return True
