"""Pictures, folders of frames and videos, as they come from outside and go there."""
