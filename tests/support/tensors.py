"""A fake tensor, without torch."""

import numpy as np


class FakeTensor:
    """The part of a torch tensor that streamers use; `.numpy()` raises on a device or in bfloat16."""

    def __init__(self, values, dtype="torch.float32", device="cpu"):
        self.values = np.asarray(values, dtype=np.float32)
        self.dtype = dtype
        self.device = device
        self.shape = self.values.shape

    def __getitem__(self, index):
        return FakeTensor(self.values[index], self.dtype, self.device)

    def __len__(self):
        return len(self.values)

    def detach(self):
        return FakeTensor(self.values, self.dtype, self.device)

    def clone(self):
        return FakeTensor(self.values.copy(), self.dtype, self.device)

    def cpu(self):
        return FakeTensor(self.values, self.dtype)

    def float(self):
        return FakeTensor(self.values.copy(), device=self.device)

    def numpy(self):
        if self.device != "cpu" or self.dtype == "torch.bfloat16":
            raise TypeError(f"can't convert {self.device} {self.dtype} tensor to numpy")
        return self.values
