"""What training and inference of an arm cost: parameters, operations, memory and seconds."""
