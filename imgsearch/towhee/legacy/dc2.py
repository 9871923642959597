"""Stands for ``towhee.dc2``, in which late versions of Towhee 0.x had the API of 1.x."""

from imgsearch.towhee.imports import towhee

AutoConfig, AutoPipes = towhee.AutoConfig, towhee.AutoPipes
DataCollection, DataLoader = towhee.DataCollection, towhee.DataLoader
accelerate, ops, pipe, register = towhee.accelerate, towhee.ops, towhee.pipe, towhee.register
