"""What is known without torch: networks, presets, tasks, the grid of cells, and what ships with videomac."""
