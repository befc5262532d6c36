"""About: what the studio does, what it must not be used for, its limits, licence and model."""

import streamlit as st

from pages.parts.markup import page_head
from pages.parts.places import REPOSITORY
from pages.parts.service import settings

MODEL_CARD = REPOSITORY / "models" / "mini" / "MODEL_CARD.md"

limits = settings()
page_head("About", "What this studio does, and what it does not.")

st.markdown(
    """
### What it does
You give it a video (or a picture) of a person and a recording of speech. It redraws the lower face, frame by frame,
so that the lips follow the speech. Everything else in the picture stays as it is, and the sound is carried over
unchanged.

It works as described in *LatentSync: Taming Audio-Conditioned Latent Diffusion Models for Lip Sync with SyncNet
Supervision* ([arXiv:2412.09262](https://arxiv.org/abs/2412.09262)): the speech is turned into features, the mouth
region of every frame is masked, and a diffusion model fills it in while it listens to those features.
"""
)
with st.container(border=True, key="card_consent"):
    st.markdown(
        """
### Consent comes first
- Use only faces and voices of people who **agreed to this very use**, or your own.
- Do not use it to deceive: no impersonation, no fraud, no made-up statements of real people.
- **Say that the result is synthetic** wherever you show it. In many places the law demands it.
"""
    )
st.markdown(
    f"""
### Limits
- One file may have up to **{limits.max_upload_bytes // 2**20} MB** and **{limits.max_seconds / 60:.3g} minutes**,
  and a video up to {limits.max_pixels / 1e6:.2g} megapixels per frame.
- It needs a face that is visible, roughly upright and at least 64 pixels tall. Frames without such a face pass
  through unchanged, and the result's page tells how many there were.
- Side views, hands or microphones before the mouth, beards and fast turns of the head are hard, and look it.
- The small model that ships with the studio works on 256 × 256 pixels: in a close-up the mouth
  looks softer than the rest.

### Your files
They stay on the machine this studio runs on. A finished video is deleted after **{limits.retention_days:.3g} days**,
uploads that you made nothing of after {limits.draft_hours:.3g} hours; you can delete a video yourself at any time
on its page. Whoever has a video's link can watch it, but only your browser can change it.

### Licence
The studio's code is under the Apache Licence 2.0. The bundled model was trained on footage that allows research only:
**use it, and what it makes, for research and demonstration**. Other models carry their own licences.
"""
)
if MODEL_CARD.is_file():
    with st.expander("Model card of the bundled model", icon=":material/description:"):
        st.markdown(MODEL_CARD.read_text(encoding="utf-8"))
