//! cuDNN's descriptors, by which it is told and asked everything, as values.
//!
//! <https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-graph-library.html>
#![allow(unsafe_code)]

use std::{ptr, slice};

use candle_core::cuda_backend::cudarc::cudnn::{
    CudnnError,
    sys::{
        self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type,
        cudnnBackendDescriptorType_t as Kind,
    },
};

pub(super) type Result<T> = std::result::Result<T, CudnnError>;

/// A descriptor, destroyed when it is dropped.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Descriptor(sys::cudnnBackendDescriptor_t);

/// What an attribute of a descriptor can hold.
///
/// # Safety
///
/// It is laid out as cuDNN's `TYPE`, and whatever cuDNN writes there is one.
pub(super) unsafe trait Attribute {
    const TYPE: Type;
}

/// What is to be known of an engine's numbers. A newer cuDNN may have more than its bindings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct NumericalNote(pub u32);

/// An address in the memory of a GPU.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct Address(pub u64);

macro_rules! attributes {
    ($($of:ty: $name:ident,)*) => {
        $(
            // SAFETY: the types are those of cuDNN's reference.
            unsafe impl Attribute for $of {
                const TYPE: Type = Type::$name;
            }
        )*
    };
}

attributes! {
    i64: CUDNN_TYPE_INT64,
    f32: CUDNN_TYPE_FLOAT,
    f64: CUDNN_TYPE_DOUBLE,
    Address: CUDNN_TYPE_VOID_PTR,
    Descriptor: CUDNN_TYPE_BACKEND_DESCRIPTOR,
    NumericalNote: CUDNN_TYPE_NUMERICAL_NOTE,
    sys::cudnnHandle_t: CUDNN_TYPE_HANDLE,
    sys::cudnnDataType_t: CUDNN_TYPE_DATA_TYPE,
    sys::cudnnConvolutionMode_t: CUDNN_TYPE_CONVOLUTION_MODE,
    sys::cudnnBackendHeurMode_t: CUDNN_TYPE_HEUR_MODE,
}

impl Descriptor {
    /// One of which nothing is set.
    pub fn new(kind: Kind) -> Result<Descriptor> {
        let mut made = ptr::null_mut();
        // SAFETY: cuDNN writes the pointer.
        unsafe { sys::cudnnBackendCreateDescriptor(kind, &raw mut made) }.result()?;
        Ok(Descriptor(made))
    }

    pub fn with<T: Attribute>(self, name: Name, value: &T) -> Result<Descriptor> {
        self.with_all(name, slice::from_ref(value))
    }

    pub fn with_all<T: Attribute>(self, name: Name, values: &[T]) -> Result<Descriptor> {
        let (count, first) = (values.len() as i64, values.as_ptr().cast());
        // SAFETY: cuDNN reads so many values of the type.
        unsafe { sys::cudnnBackendSetAttribute(self.0, name, T::TYPE, count, first) }.result()?;
        Ok(self)
    }

    /// Checked by cuDNN, after which it can be used.
    pub fn finished(self) -> Result<Descriptor> {
        // SAFETY: the descriptor was made by cuDNN.
        unsafe { sys::cudnnBackendFinalize(self.0) }.result()?;
        Ok(self)
    }

    /// How many values an attribute has.
    pub fn count<T: Attribute>(&self, name: Name) -> Result<usize> {
        self.read::<T>(name, &mut [])
    }

    /// Reads an attribute; how many values it has, of which only those that have a place are read.
    /// Descriptors are filled in, not replaced.
    pub fn read<T: Attribute>(&self, name: Name, values: &mut [T]) -> Result<usize> {
        let (places, mut count) = (values.len() as i64, 0);
        let first = if values.is_empty() { ptr::null_mut() } else { values.as_mut_ptr().cast() };
        // SAFETY: cuDNN writes no more values of the type than there are places.
        unsafe {
            sys::cudnnBackendGetAttribute(self.0, name, T::TYPE, places, &raw mut count, first)
        }
        .result()?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Runs what is planned with what it works on.
    ///
    /// # Safety
    ///
    /// The addresses in the pack are of memory with the sizes that the plan was made for.
    pub unsafe fn execute(&self, handle: sys::cudnnHandle_t, pack: &Descriptor) -> Result<()> {
        // SAFETY: the caller answers for it.
        unsafe { sys::cudnnBackendExecute(handle, self.0, pack.0) }.result()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor was made by cuDNN and is used no more. Nothing can be done about a
        // failure.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.0) }.result();
    }
}
