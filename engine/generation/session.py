"""What a generation worker has loaded, and its answers to requests. Imports torch once the first `load` comes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rung.engine.core.errors import EngineError
from rung.engine.generation.client import Decoding
from rung.engine.hub.download import tell_downloads_to
from rung.engine.hub.download_events import DownloadEvents
from rung.engine.jobs.events import Event
from rung.engine.jobs.slots import see_freest_gpu
from rung.engine.models.weights import read_weights
from rung.engine.recipe.schema import ModelSettings

if TYPE_CHECKING:
    from rung.engine.generation.candidates import LoadedCandidates
    from rung.engine.generation.streaming import Answer
    from rung.engine.models.fingerprint import BaseCheck

Message = dict[str, Any]


class GenerationSession:
    """What is loaded, and the answers to requests, given to `send`."""

    def __init__(self, send: Callable[[Message], None], is_cancelled: Callable[[int], bool]) -> None:
        self.loaded: LoadedCandidates | None = None
        self._send, self._is_cancelled = send, is_cancelled
        self._last_load: Message | None = None
        self._fingerprints: dict[str, str] = {}
        self._idle_seconds: float | None = None
        # Once torch has used a GPU, this process can take no other.
        self._has_gpu = False
        self._last_use = time.monotonic()

    def handle(self, request: Message) -> None:
        """Answer one request; an EngineError is an answer too."""
        handlers = {"load": self._load, "generate": self._generate, "unload": self._unload}
        handler = handlers.get(str(request.get("type")))
        try:
            if handler is None:
                raise EngineError(f"The generation worker knows no request {request.get('type')!r}", str(request)[:200])
            handler(request)
        except EngineError as error:
            self._say_error(request.get("id"), error)
        self._last_use = time.monotonic()

    def seconds_to_idle(self) -> float | None:
        """Seconds until what is loaded has been idle for long enough to be unloaded; None: never."""
        if self.loaded is None or self._idle_seconds is None:
            return None
        return max(0.0, self._last_use + self._idle_seconds - time.monotonic())

    def unload_idle(self) -> None:
        """Give the memory back; the next `generate` loads again."""
        self._drop()
        self._send({"type": "unloaded", "id": None, "reason": "idle"})

    def _load(self, request: Message) -> None:
        started = time.perf_counter()
        settings, root = _model_of(request)
        adapters = {label: (root / path).resolve() for label, path in (request.get("adapters") or {}).items()}
        for path in adapters.values():
            read_weights(path)  # Refuses what can't answer before the base takes its time to load.
        if not self._has_gpu:
            see_freest_gpu()
            self._has_gpu = True
        from rung.engine.models.load import pick_device

        device = str(request.get("device") or pick_device())
        minutes = request.get("idle_minutes")
        self._idle_seconds = None if minutes is None else float(minutes) * 60
        if not self._can_go_on_with(settings, root, device, adapters):
            self._drop()
            self._check_room(request.get("id"), settings, root, device)
            from rung.engine.generation.candidates import LoadedCandidates

            tell_downloads_to(DownloadEvents(partial(self._say_phase, request.get("id"))).tell_and_load)
            with _out_of_memory_told():
                self.loaded = LoadedCandidates(settings, root, device)
        self._last_load = request
        loaded = self._need_loaded()
        with _out_of_memory_told():
            for label, path in adapters.items():
                if label not in loaded.labels:
                    loaded.attach(label, path)
            self._say_ready(request.get("id"), loaded, time.perf_counter() - started)

    def _can_go_on_with(self, settings: ModelSettings, root: Path, device: str, adapters: dict[str, Path]) -> bool:
        """Whether what is loaded needs nothing but more adapters."""
        if self.loaded is None:
            return False
        same_base = (self.loaded.settings, self.loaded.root, self.loaded.device) == (settings, root, device)
        return same_base and all(adapters.get(label) == path for label, path in self.loaded.paths.items())

    def _say_ready(self, request: Any, loaded: "LoadedCandidates", seconds: float) -> None:
        check = loaded.check_base()
        fingerprints = {"base": check.now} | {label: loaded.fingerprint(label) for label in loaded.paths}
        self._fingerprints = fingerprints
        self._send(
            {
                "type": "ready",
                "id": request,
                "device": loaded.device,
                "fingerprints": fingerprints,
                "plain_fingerprint": check.plain,
                "base_matches_plain": check.matches,
                "max_logit_difference": check.max_logit_difference,
                "tolerance": check.tolerance,
                "one_at_a_time": loaded.one_at_a_time,
                "seconds": round(seconds, 3),
            }
        )
        for label, candidate_fingerprint in fingerprints.items():
            if label != "base" and candidate_fingerprint == check.now:
                self._warn(
                    request, f"{label} gives the base's own logits on the fixed prompt", "it may have learned nothing"
                )
        if not check.matches:
            self._say_error(request, _not_the_base(check))

    def _generate(self, request: Message) -> None:
        identity = int(request["id"])
        if self.loaded is None and self._last_load is not None:
            self._load(self._last_load)
        loaded = self._need_loaded()
        decoding = _decoding_of(request)
        labels = [str(label) for label in request.get("candidates") or loaded.labels]
        loaded.groups(labels)  # Refuses a candidate that is not there, before anything is computed.
        from rung.engine.generation.streaming import stream_answers

        prompts, decoding = self._fitted(identity, loaded, labels, request["messages"], decoding)
        with _out_of_memory_told():
            answers = stream_answers(
                loaded,
                prompts,
                decoding,
                lambda answer, piece: self._send(_token(identity, answer, piece)),
                lambda: self._is_cancelled(identity),
            )
            # Models that take turns in memory keep the check of their loading: another would load the base once more.
            check = loaded.check_base() if "base" in labels and not loaded.one_at_a_time else None
        if check is not None:
            self._fingerprints["base"] = check.now
        for answer in answers:
            self._send(
                {
                    "type": "done",
                    "id": identity,
                    "candidate": answer.candidate,
                    "text": answer.final_text,
                    "tokens": len(answer.ids),
                    "seconds": round(answer.seconds, 4),
                    "stop_reason": answer.stop_reason,
                    "fingerprint": self._fingerprints[answer.candidate],
                }
                | (_proof(check) if check and answer.candidate == "base" else {})
            )
        if check is not None and not check.matches:
            self._say_error(identity, _not_the_base(check))

    def _fitted(
        self, request: int, loaded: "LoadedCandidates", labels: list[str], messages: list[Message], decoding: Decoding
    ) -> tuple[dict[str, list[int]], Decoding]:
        """Each candidate's prompt, and the decoding with the length that all have room for; says what was cut."""
        from rung.engine.generation.prompting import fit_prompt

        prompts: dict[str, list[int]] = {}
        cuts: dict[str, None] = {}
        longest = decoding.max_new_tokens
        for label in labels:
            fitted = fit_prompt(
                loaded.tokenizer(label), messages, loaded.settings.template_args, loaded.context(label), longest
            )
            prompts[label] = fitted.ids
            longest = min(longest, fitted.max_new_tokens)
            cuts |= dict.fromkeys(fitted.cuts)
        for cut in cuts:
            self._warn(request, cut)
        return prompts, replace(decoding, max_new_tokens=longest)

    def _unload(self, request: Message) -> None:
        self._drop()
        self._last_load = None
        self._send({"type": "unloaded", "id": request.get("id"), "reason": "asked"})

    def _drop(self) -> None:
        if self.loaded is not None:
            self.loaded.unload()
            self.loaded = None

    def _need_loaded(self) -> "LoadedCandidates":
        if self.loaded is None:
            raise EngineError("No model is loaded", hint="send a load request first")
        return self.loaded

    def _check_room(self, request: Any, settings: ModelSettings, root: Path, device: str) -> None:
        from rung.engine.generation.free_memory import free_bytes, model_bytes, refuse_without_room, training_jobs
        from rung.engine.models.load import resolve_dtype

        jobs = training_jobs(device)
        if device == "cpu":
            for job in jobs:
                self._warn(request, f"{job.run} trains on this CPU: the job and the answers slow each other down")
            return
        dtype_name = str(resolve_dtype(settings, device)).removeprefix("torch.")
        refuse_without_room(model_bytes(settings, root, dtype_name), free_bytes(device), jobs)

    def _say_phase(self, request: Any, event: Event) -> None:
        self._send({"type": event.type, "id": request} | asdict(event))

    def _warn(self, request: Any, message: str, details: str = "", hint: str = "") -> None:
        self._send({"type": "warning", "id": request, "message": message, "details": details, "hint": hint})

    def _say_error(self, request: Any, error: EngineError) -> None:
        self._send(
            {"type": "error", "id": request, "message": error.message, "details": error.details, "hint": error.hint}
        )


def _model_of(request: Message) -> tuple[ModelSettings, Path]:
    try:
        settings = ModelSettings.model_validate(request["model"])
    except ValidationError as error:
        raise EngineError("The model's settings are not valid", str(error)) from None
    return settings, Path(str(request["root"]))


def _decoding_of(request: Message) -> Decoding:
    decoding = Decoding(**(request.get("decoding") or {}))
    if decoding.max_new_tokens < 1 or decoding.temperature < 0 or not 0 < decoding.top_p <= 1:
        raise EngineError(
            "The decoding can't be used", str(decoding), "max_new_tokens from 1, temperature from 0, top_p above 0 to 1"
        )
    return decoding


def _token(request: int, answer: "Answer", piece: str) -> Message:
    return {
        "type": "token",
        "id": request,
        "candidate": answer.candidate,
        "text": piece,
        "tokens": len(answer.ids),
        "seconds": round(answer.seconds, 4),
    }


def _proof(check: "BaseCheck") -> Message:
    return {"base_matches_plain": check.matches, "max_logit_difference": check.max_logit_difference}


def _not_the_base(check: "BaseCheck") -> EngineError:
    return EngineError(
        "The base pane is not the plain base",
        f"its logits differ by {check.max_logit_difference:.3g} from those of the model loaded without any adapter "
        f"(tolerance {check.tolerance:.3g}); fingerprint {check.now[:8]} where {check.plain[:8]} was expected",
        "an adapter has changed the base's own weights; compare it as a merged, full model instead",
    )


@contextmanager
def _out_of_memory_told() -> Iterator[None]:
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise EngineError(
            "The GPU has no memory left for this", str(error).splitlines()[0], "compare fewer candidates, or quantise"
        ) from None
