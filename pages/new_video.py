"""New video: choose a video and a speech, look at both, say how, and start."""

from pages.parts.new_video_form import show_new_video

show_new_video()
