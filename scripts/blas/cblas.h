/* The four CBLAS calls of MinkowskiEngine, by the Fortran BLAS that torch brings with it: no system BLAS is needed,
 * and the engine's matrix products run on torch's own threads. Included inside extern "C". */
#pragma once

enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };

/* A row-major C = A B is the column-major transpose of C = B A. */
#define VIDEOMAC_BLAS(T, PREFIX)                                                                                       \
  void PREFIX##gemm_(const char *, const char *, const int *, const int *, const int *, const T *, const T *,          \
                     const int *, const T *, const int *, const T *, T *, const int *);                                \
  void PREFIX##axpy_(const int *, const T *, const T *, const int *, T *, const int *);                                \
  static inline void cblas_##PREFIX##gemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE ta, enum CBLAS_TRANSPOSE tb,    \
                                          int m, int n, int k, T alpha, const T *a, int lda, const T *b, int ldb,      \
                                          T beta, T *c, int ldc) {                                                     \
    const char *of_a = ta == CblasTrans ? "T" : "N", *of_b = tb == CblasTrans ? "T" : "N";                             \
    if (order == CblasRowMajor)                                                                                        \
      PREFIX##gemm_(of_b, of_a, &n, &m, &k, &alpha, b, &ldb, a, &lda, &beta, c, &ldc);                                 \
    else                                                                                                               \
      PREFIX##gemm_(of_a, of_b, &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc);                                 \
  }                                                                                                                    \
  static inline void cblas_##PREFIX##axpy(int n, T alpha, const T *x, int incx, T *y, int incy) {                      \
    PREFIX##axpy_(&n, &alpha, x, &incx, y, &incy);                                                                     \
  }

VIDEOMAC_BLAS(float, s)
VIDEOMAC_BLAS(double, d)
