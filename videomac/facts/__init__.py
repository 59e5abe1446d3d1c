"""What is known without torch: names and sizes of networks, protocols, tasks, the grid of cells, and what ships."""
