"""From a file or a camera to texts as the video goes on."""
