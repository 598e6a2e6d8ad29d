"""The kinds of swappable parts: where each is named in a recipe, its contract, and what is built in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Group:
    """A kind of swappable part.

    Attributes:
        name: Short name, and the end of its entry-point group ``jepa_vl.<name>``.
        keys: Recipe keys under which such a part is named, wherever they stand.
        base: ``module:Class`` of the contract.
        built_in: Parts that come with the package, short name → ``module:Class``.
    """

    name: str
    keys: tuple[str, ...]
    base: str
    built_in: dict[str, str] = field(default_factory=dict)

    @property
    def entry_point_group(self) -> str:
        """The entry-point group in a distribution's metadata."""
        return f"jepa_vl.{self.name}"


GROUPS: dict[str, Group] = {
    g.name: g
    for g in (
        Group(
            "vision",
            ("vision_encoder",),
            "jepa_vl.vision.base:VisionEncoder",
            {
                "hf_vision": "jepa_vl.vision.hf_vision:HFVision",
                "pooled": "jepa_vl.vision.pooled:PooledVision",
            },
        ),
        Group(
            "predictors",
            ("predictor",),
            "jepa_vl.predictors.base:Predictor",
            {
                "transformer": "jepa_vl.predictors.transformer:TransformerPredictor",
                "hf_layers": "jepa_vl.predictors.hf_layers:HFLayersPredictor",
            },
        ),
        Group(
            "text",
            ("text_encoder",),
            "jepa_vl.text.base:TextEncoder",
            {"hf_text": "jepa_vl.text.hf_text:HFText"},
        ),
        Group(
            "language",
            ("language_model",),
            "jepa_vl.language.base:LanguageModel",
            {
                "hf_causal": "jepa_vl.language.hf_causal:HFCausalLM",
                "transformer_lm": "jepa_vl.language.transformer_lm:TransformerLM",
            },
        ),
        Group(
            "decoders",
            ("decoder",),
            "jepa_vl.decoders.base:TextDecoder",
            {
                "nearest": "jepa_vl.decoders.nearest:NearestText",
                "prefix_lm": "jepa_vl.decoders.prefix_lm:PrefixLM",
            },
        ),
        Group(
            "losses",
            ("loss",),
            "jepa_vl.losses.base:Loss",
            {
                "info_nce": "jepa_vl.losses.info_nce:InfoNCE",
                "cosine": "jepa_vl.losses.frozen_target:CosineLoss",
                "l1": "jepa_vl.losses.frozen_target:L1Loss",
                "l2": "jepa_vl.losses.frozen_target:L2Loss",
                "sigmoid": "jepa_vl.losses.sigmoid:SigmoidLoss",
                "vicreg": "jepa_vl.losses.vicreg:VICReg",
                "sigreg": "jepa_vl.losses.sigreg:SIGReg",
            },
        ),
        Group(
            "objectives",
            ("objective",),
            "jepa_vl.objectives.base:Objective",
            {
                "jepa": "jepa_vl.objectives.jepa:JEPAObjective",
                "decoder": "jepa_vl.objectives.decoder:DecoderObjective",
                "token": "jepa_vl.objectives.token:TokenObjective",
                "dual": "jepa_vl.objectives.dual:DualSystem",
                "conse": "jepa_vl.objectives.conse:ConSESystem",
                "generative": "jepa_vl.objectives.generative:GenerativeSystem",
                "probe": "jepa_vl.objectives.probe:ProbeSystem",
            },
        ),
        Group(
            "data",
            ("data",),
            "jepa_vl.data.base:SampleData",
            {
                "manifest": "jepa_vl.data.manifest:ManifestData",
                "shards": "jepa_vl.data.shards.data:ShardsData",
            },
        ),
        Group(
            "tasks",
            ("tasks",),
            "jepa_vl.tasks.base:Task",
            {
                "retrieval": "jepa_vl.tasks.retrieval:RetrievalTask",
                "classification": "jepa_vl.tasks.classification:ClassificationTask",
                "vqa": "jepa_vl.tasks.vqa:VQATask",
                "captioning": "jepa_vl.tasks.captioning:CaptioningTask",
                "world_model": "jepa_vl.tasks.world_model:WorldModelTask",
                "anticipation": "jepa_vl.tasks.anticipation:AnticipationTask",
                "hard_negatives": "jepa_vl.tasks.hard_negatives:HardNegativesTask",
                "moments": "jepa_vl.tasks.moments:MomentsTask",
                "streaming": "jepa_vl.tasks.streaming:StreamingTask",
            },
        ),
        # named on the command line: `jepa-vl convert NAME`
        Group(
            "readers",
            (),
            "jepa_vl.readers.base:Reader",
            {
                "ssv2": "jepa_vl.readers.ssv2:SSv2",
                "epic_kitchens_100": "jepa_vl.readers.epic_kitchens_100:EpicKitchens100",
                "egoexo4d_keysteps": "jepa_vl.readers.egoexo4d_keysteps:EgoExo4DKeysteps",
                "kinetics400": "jepa_vl.readers.kinetics400:Kinetics400",
                "coin": "jepa_vl.readers.coin:Coin",
                "crosstask": "jepa_vl.readers.crosstask:CrossTask",
                "imagenet": "jepa_vl.readers.imagenet:ImageNet",
                "worldprediction_wm": "jepa_vl.readers.worldprediction_wm:WorldPredictionWM",
                "egoexo4d_atomic": "jepa_vl.readers.egoexo4d_atomic:EgoExo4DAtomic",
                "action100m": "jepa_vl.readers.action100m:Action100M",
                "plm_captions": "jepa_vl.readers.plm_captions:PLMCaptions",
                "webdataset": "jepa_vl.readers.webdataset:WebDataset",
                "msrvtt_1ka": "jepa_vl.readers.msrvtt_1ka:MSRVTT1kA",
                "activitynet_captions": "jepa_vl.readers.activitynet_captions:ActivityNetCaptions",
                "didemo": "jepa_vl.readers.didemo:DiDeMo",
                "msvd": "jepa_vl.readers.msvd:MSVD",
                "youcook2": "jepa_vl.readers.youcook2:YouCook2",
                "pvd_bench": "jepa_vl.readers.pvd_bench:PVDBench",
                "dream1k": "jepa_vl.readers.dream1k:Dream1K",
                "vdc1k": "jepa_vl.readers.vdc1k:VDC1k",
                "gqa": "jepa_vl.readers.gqa:GQA",
                "tallyqa": "jepa_vl.readers.tallyqa:TallyQA",
                "pope": "jepa_vl.readers.pope:POPE",
                "popev2": "jepa_vl.readers.popev2:POPEv2",
                "clevr": "jepa_vl.readers.clevr:CLEVR",
                "sugarcrepe_pp": "jepa_vl.readers.sugarcrepe_pp:SugarCrepePP",
                "visla": "jepa_vl.readers.visla:VISLA",
            },
        ),
        Group(
            "policies",
            ("policies",),
            "jepa_vl.streaming.base:Policy",
            {
                "uniform": "jepa_vl.streaming.policies.uniform:UniformPolicy",
                "selective": "jepa_vl.streaming.policies.selective:SelectivePolicy",
                "coverage": "jepa_vl.streaming.policies.covering:CoveragePolicy",
                "online": "jepa_vl.streaming.policies.online:TriggeredPolicy",
                "random": "jepa_vl.streaming.policies.random:RandomPolicy",
                "oracle": "jepa_vl.streaming.policies.oracle:OraclePolicy",
            },
        ),
        Group(
            "triggers",
            ("trigger",),
            "jepa_vl.streaming.triggers.base:Trigger",
            {
                "novelty": "jepa_vl.streaming.triggers.novelty:NoveltyTrigger",
                "drift": "jepa_vl.streaming.triggers.drift:DriftTrigger",
                "variance": "jepa_vl.streaming.triggers.variance:VarianceTrigger",
                "change_point": "jepa_vl.streaming.triggers.change_point:ChangePointTrigger",
            },
        ),
        # not a class: a function that returns the folder of a Hugging Face model on this machine
        Group("weights", (), "jepa_vl.pretrained.weights:WeightsSource"),
    )
}

#: Recipe key → group of the part it names.
KEYS: dict[str, Group] = {key: group for group in GROUPS.values() for key in group.keys}
